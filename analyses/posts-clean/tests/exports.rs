//! The program on whole files: good ones, bad ones and hostile ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const HEADER: &str = "created_at,text,url,replies,retweets,favorites,user\n";

/// What a run gave.
struct Run {
    output: Output,
    result: Option<Value>,
    posts: Vec<Value>,
}

impl Run {
    fn message(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    fn result(&self) -> &Value {
        assert!(self.output.status.success(), "{}", self.message());
        self.result.as_ref().unwrap()
    }

    /// It failed with 1, said this, and left no result.
    fn fails_with(&self, message: &str) {
        assert_eq!(self.output.status.code(), Some(1), "{}", self.message());
        assert!(self.message().contains(message), "{}", self.message());
        assert!(self.message().contains("Its first line must be exactly"));
        assert!(self.result.is_none());
    }
}

/// Runs the program with its memory (address space) limited, as a sandbox would.
fn run_in(folder: &Path, memory_kib: u32) -> Run {
    let out = folder.join("out");
    fs::create_dir_all(&out).unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -v {memory_kib} && exec \"$0\" --in \"$1\" --out \"$2\""
        ))
        .arg(env!("CARGO_BIN_EXE_posts-clean"))
        .args([folder, &out])
        .output()
        .unwrap();
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_default();
    Run {
        output,
        result: serde_json::from_str(&read("result.json")).ok(),
        posts: read("posts.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}

fn run(export: &[u8]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("export"), export).unwrap();
    run_in(folder.path(), 256 << 10)
}

fn with_header(rows: &[u8]) -> Vec<u8> {
    [HEADER.as_bytes(), rows].concat()
}

#[test]
fn the_example_of_the_definitions() {
    let run = run(&with_header(
        b"10/2/17 12:41,Hello &amp; welcome to the data party! https://t.co/a,u1,1,2,3,x\n\
          10/2/17 23:10,@friend thanks for the data,u2,0,0,1,x\n\
          10/3/17 0:05,\"RT @other: data, data, data\",u3,5,5,5,x\n\
          10/8/17 12:00,Don't stop the party #fun,u4,2,2,2,x\n\
          not-a-time,lost,u5,1,1,1,x\n",
    ));
    assert_eq!(
        run.result(),
        &json!({
            "encoding": "utf-8", "rows": 5, "kept": 4, "replaced_characters": 0,
            "rejected": [{"row": 5, "reason": "bad time in created_at"}],
        })
    );
    let kinds: Vec<&Value> = run.posts.iter().map(|post| &post["kind"]).collect();
    assert_eq!(kinds, ["original", "reply", "retweet", "original"]);
    assert_eq!(
        run.posts[0],
        json!({
            "row": 1, "created_at": "2017-10-02T12:41:00Z",
            "text": "Hello & welcome to the data party! https://t.co/a", "url": "u1", "user": "x",
            "kind": "original", "urls": ["https://t.co/a"], "hashtags": [], "mentions": [],
            "replies": 1, "retweets": 2, "favorites": 3,
        })
    );
    assert_eq!(run.posts[3]["hashtags"], json!(["fun"]));
}

#[test]
fn the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample/export");
    fs::copy(sample, folder.path().join("export")).unwrap();
    let run = run_in(folder.path(), 256 << 10);
    let result = run.result();
    assert_eq!(result["rows"].as_u64().unwrap() - 2, result["kept"]);
    assert_eq!(result["rejected"][0]["reason"], "bad time in created_at");
    assert_eq!(result["rejected"][1]["reason"], "bad count in replies");
}

#[test]
fn a_header_alone_is_an_export_without_rows() {
    for header in [
        HEADER,
        HEADER.trim_end(),
        &HEADER.replace('\n', "\r\n"),
        &format!("\u{feff}{HEADER}"),
    ] {
        let run = run(header.as_bytes());
        assert_eq!(run.result()["rows"], 0);
        assert_eq!(run.result()["rejected"], json!([]));
        assert!(run.posts.is_empty());
    }
}

#[test]
fn what_is_not_an_export() {
    run(b"").fails_with("it is empty");
    run(b"\xef\xbb\xbf").fails_with("it is empty");
    run(b"\n").fails_with("it starts with an empty line");
    run(format!("\n{HEADER}").as_bytes()).fails_with("an empty line");
    run(b"date,text\n1,2\n").fails_with("it starts with \"date,text\"");
    run(b"\x7fELF\x02\x01\x01\0\0\0\0\0\xff\xfe").fails_with("\\u{7f}ELF");
    run(&[0; 5000]).fails_with("it starts with \"\\0\\0");
    run(&HEADER.replace("user", "user,more").into_bytes()).fails_with("it starts with");
    run(&HEADER.replace(",user", "").into_bytes()).fails_with("it starts with");
    run(&HEADER.to_uppercase().into_bytes()).fails_with("it starts with");
    run(HEADER.trim_end().replace("user", "\"user").as_bytes()).fails_with("it starts with");
    // In windows-1252 the mark is three letters before the header.
    run(&[b"\xef\xbb\xbf", HEADER.as_bytes(), b"\xff\n"].concat()).fails_with("ï»¿created_at");
}

#[test]
fn no_file_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path(), 256 << 10);
    assert_eq!(run.output.status.code(), Some(1));
    assert!(
        run.message().contains("must be a readable file"),
        "{}",
        run.message()
    );
}

#[test]
fn an_export_cut_off_inside_a_quote_keeps_what_came_before() {
    let run = run(&with_header(
        b"10/2/17 12:41,whole,u,1,2,3,x\n10/2/17 12:42,\"cut off, here\n",
    ));
    assert_eq!(run.result()["rows"], 2);
    assert_eq!(run.result()["kept"], 1);
    assert_eq!(
        run.result()["rejected"],
        json!([{"row": 2, "reason": "cut off inside a quoted field"}])
    );
}

#[test]
fn windows_1252_with_its_five_gaps() {
    let run = run(&with_header(
        b"10/2/17 12:41,\x93caf\xe9\x94 \x81\x8d\x8f\x90\x9d &#0;,u,1,2,3,x\nbad,\x81,u,1,2,3,x\n",
    ));
    assert_eq!(run.result()["encoding"], "windows-1252");
    // Five bytes and one reference; the rejected row does not count.
    assert_eq!(run.result()["replaced_characters"], 6);
    assert_eq!(
        run.posts[0]["text"],
        "“café” \u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd} \u{fffd}"
    );
}

#[test]
fn nul_bytes_are_characters_like_others() {
    let run = run(&with_header(
        b"10/2/17 12:41,a\0b,u,1,2,3,x\n10/2/17 12:41,c,u,1\0,2,3,x\n",
    ));
    assert_eq!(run.posts[0]["text"], "a\0b");
    assert_eq!(
        run.result()["rejected"],
        json!([{"row": 2, "reason": "bad count in replies"}])
    );
}

#[test]
fn a_thousand_rejections_are_listed_and_all_are_counted() {
    let run = run(&with_header("x\n\n".repeat(1234).as_bytes()));
    let rejected = run.result()["rejected"].as_array().unwrap();
    assert_eq!(
        (rejected.len(), &rejected[999]["row"]),
        (1000, &json!(1000))
    );
    assert_eq!(
        (&run.result()["rows"], &run.result()["kept"]),
        (&json!(1234), &json!(0))
    );
}

#[test]
fn a_field_of_a_hundred_megabytes_costs_its_row_and_not_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("export")).unwrap();
    file.write_all(&with_header(b"10/2/17 12:41,\"")).unwrap();
    let piece = "x\u{e9}&amp; ".repeat(1 << 17);
    for _ in 0..100_000_000 / piece.len() + 1 {
        file.write_all(piece.as_bytes()).unwrap();
    }
    file.write_all(b"\",u,1,2,3,x\n10/2/17 12:41,after,u,1,2,3,x\n")
        .unwrap();
    drop(file);
    let run = run_in(folder.path(), 96 << 10);
    assert_eq!(
        run.result()["rejected"],
        json!([{"row": 1, "reason": "longer than 16 MiB"}])
    );
    assert_eq!(run.posts[0]["text"], "after");
}

#[test]
fn a_text_of_nothing_but_hashtags_is_bounded_too() {
    let rows = format!("10/2/17 12:41,{},u,1,2,3,x\n", "#a&lt;".repeat(1 << 21));
    let run = {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("export"), with_header(rows.as_bytes())).unwrap();
        run_in(folder.path(), 192 << 10)
    };
    assert_eq!(run.posts[0]["hashtags"].as_array().unwrap().len(), 1 << 21);
}

#[test]
fn a_full_disk_is_told_and_leaves_no_result() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("export"),
        with_header(b"10/2/17 12:41,t,u,1,2,3,x\n"),
    )
    .unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("out/posts.jsonl")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_posts-clean"))
        .args([
            "--in".as_ref(),
            folder.path(),
            "--out".as_ref(),
            &folder.path().join("out"),
        ])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("posts.jsonl: No space left on device"),
        "{message}"
    );
    assert!(message.contains("A larger `disk`"), "{message}");
    assert!(!folder.path().join("out/result.json").exists());
}

#[test]
fn unknown_arguments() {
    for (arguments, message) in [
        (&["--verbose"] as &[&str], "usage:"),
        (&["--in"], "needs a folder"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_posts-clean"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(message));
    }
}
