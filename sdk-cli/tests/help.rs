//! The help: there for every command, and the same as in `docs/cli.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use clap::Command;
use std::fmt::Write as _;
use std::path::Path;

/// Every command that does something, with the words that lead to it.
fn leaves(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let words = format!("{words} {}", sub.get_name());
        found.push((words.clone(), sub.clone()));
        leaves(sub, &words, found);
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut root = belljar_sdk_cli::command();
    root.build();
    let mut found = Vec::new();
    leaves(&root, "belljar", &mut found);
    found
}

#[test]
fn the_command_line_has_no_contradictions() {
    belljar_sdk_cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_shows_an_example() {
    let commands = commands();
    assert!(commands.len() > 35, "{}", commands.len());
    for (words, command) in commands {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!((5..100).contains(&about.len()), "{words}: {about}");
        let after = command
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(after.contains("Example:\n"), "{words} shows no example");
        assert!(
            after.contains(&words) || words == "belljar exit-codes",
            "the example of {words} does not use it: {after}"
        );
        for argument in command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
        {
            assert!(
                argument.get_help().is_some(),
                "{words}: {} is not explained",
                argument.get_id()
            );
        }
    }
}

/// Every example in the help is a command line that can be parsed.
#[test]
fn every_example_parses() {
    let mut count = 0;
    for (words, command) in commands() {
        let after = command
            .get_after_long_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in after.lines().filter_map(|line| line.strip_prefix("  ")) {
            let line = line.split(" #").next().unwrap_or(line);
            let Some(at) = line.find("belljar ") else {
                continue;
            };
            let line = line[at..].split(['|', '>', ';']).next().unwrap_or_default();
            let line = line.replace('\'', "");
            // Quoted values with blanks become one word here.
            let words_typed: Vec<String> = shell_words(&line);
            if let Err(error) = belljar_sdk_cli::command().try_get_matches_from(&words_typed) {
                panic!("the example of {words} is not understood: {line}\n{error}");
            }
            count += 1;
        }
    }
    assert!(count > 40, "only {count} examples were found");
}

/// Splits a line into words; a value after `--description` or `--purpose` is one word.
fn shell_words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut free_text = false;
    for word in line.split_whitespace() {
        if free_text && !word.starts_with("--") {
            if let Some(last) = words.last_mut().filter(|last| !last.starts_with("--")) {
                last.push(' ');
                last.push_str(word);
                continue;
            }
        } else {
            free_text = word == "--description" || word == "--purpose";
        }
        words.push(word.to_owned());
    }
    words
}

/// The generated part of `docs/cli.md`.
fn reference() -> String {
    let mut text = String::from("## Commands\n");
    for (words, command) in commands() {
        let mut command = command.bin_name(&words).term_width(100);
        let help = command.render_long_help().to_string();
        // What is the same everywhere is told once.
        let help = help.replace("\n  -V, --version\n          Print version\n", "");
        let (help, rest) = help.split_once("\nEverywhere:\n").unwrap_or((&help, ""));
        let after = rest
            .find("\nExample")
            .or_else(|| rest.find("\nRUN is"))
            .or_else(|| rest.find("\nREQUEST is"));
        let after = after
            .or_else(|| rest.find("\nLogs are"))
            .map_or("", |at| &rest[at..]);
        let depth = words.split(' ').count();
        let lines = help
            .lines()
            .chain(after.lines())
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{} {words}\n\n```text\n{}\n```\n",
            "#".repeat(depth + 1),
            lines.trim()
        );
    }
    text
}

#[test]
fn the_document_is_what_the_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (head, written) = document.split_once("<!-- generated from the help; UPDATE_DOCS=1 cargo test -p belljar-sdk-cli --test help -->\n").unwrap();
    let wanted = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let marker = "<!-- generated from the help; UPDATE_DOCS=1 cargo test -p belljar-sdk-cli --test help -->\n";
        std::fs::write(&path, format!("{head}{marker}\n{wanted}")).unwrap();
        return;
    }
    assert!(
        written.trim() == wanted.trim(),
        "docs/cli.md is not what the help says: UPDATE_DOCS=1 cargo test -p belljar-sdk-cli --test help"
    );
    for code in belljar_sdk_cli::ExitCode::ALL {
        let row = format!("| {} | {} |", code.code(), code.meaning());
        assert!(head.contains(&row), "docs/cli.md lacks the row {row}");
    }
}
