//! NAME: counts the words of a text.
//!
//! Reads /in/text and /in/params.json, writes /out/words.csv and /out/result.json. Nothing else can be reached from
//! here: no network, no other files. What is printed is a log, never a result; exit code 0 says that
//! /out/result.json is complete.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

/// `/in/params.json`: already valid, defaults filled in.
#[derive(Deserialize)]
struct Params {
    top: usize,
}

/// `/out/result.json`.
#[derive(Serialize)]
struct Counts<'a> {
    lines: u64,
    words: u64,
    distinct_words: usize,
    top: Vec<Word<'a>>,
}

#[derive(Serialize)]
struct Word<'a> {
    word: &'a str,
    count: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("NAME: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let params: Params = serde_json::from_slice(&fs::read("/in/params.json")?)?;
    let mut counts = BTreeMap::<String, u64>::new();
    let mut lines = 0;
    // Line by line: the input may be larger than the memory limit.
    for line in BufReader::new(File::open("/in/text")?).split(b'\n') {
        lines += 1;
        let line = String::from_utf8_lossy(&line?).to_lowercase();
        for word in line.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    // By count, then by the word itself: the same input gives the same bytes.
    let mut ranked: Vec<_> = counts.iter().map(|(word, count)| Word { word, count: *count }).collect();
    ranked.sort_by_key(|word| std::cmp::Reverse(word.count));

    let mut table = BufWriter::new(File::create("/out/words.csv")?);
    writeln!(table, "word,count")?;
    for Word { word, count } in &ranked {
        writeln!(table, "{word},{count}")?;
    }
    table.flush()?;

    let (words, distinct_words) = (counts.values().sum(), counts.len());
    ranked.truncate(params.top);
    let result = Counts { lines, words, distinct_words, top: ranked };
    fs::write("/out/result.json", serde_json::to_vec_pretty(&result)?)?;
    eprintln!("{words} words in {lines} lines");
    Ok(())
}
