//! The program on whole inputs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// Exit code, message, result and picture of a run.
struct Run {
    code: Option<i32>,
    message: String,
    result: Option<Value>,
    heatmap: String,
}

fn run_in(folder: &Path) -> Run {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_social-engagement"))
        .args(["--in".as_ref(), folder, "--out".as_ref(), out.path()])
        .output()
        .unwrap();
    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap_or_default();
    Run {
        code: output.status.code(),
        message: String::from_utf8(output.stderr).unwrap(),
        result: serde_json::from_str(&read("result.json")).ok(),
        heatmap: read("heatmap.svg"),
    }
}

fn run(posts: &str, params: Option<&str>) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("posts"), posts).unwrap();
    if let Some(params) = params {
        fs::write(folder.path().join("params.json"), params).unwrap();
    }
    run_in(folder.path())
}

fn post(time: &str, kind: &str, counts: [u64; 3]) -> String {
    let post = json!({
        "row": 1, "created_at": time, "text": "", "url": "", "user": "", "kind": kind,
        "urls": [], "hashtags": [], "mentions": [],
        "replies": counts[0], "retweets": counts[1], "favorites": counts[2],
    });
    format!("{post}\n")
}

#[test]
fn the_example_of_the_definitions() {
    let posts = [
        post("2017-10-02T12:41:00Z", "original", [1, 2, 3]),
        post("2017-10-02T23:10:00Z", "reply", [0, 0, 1]),
        post("2017-10-03T00:05:00Z", "retweet", [5, 5, 5]),
        post("2017-10-08T12:00:00Z", "original", [2, 2, 2]),
    ];
    let run = run(&posts.concat(), None);
    let result = run.result.unwrap();
    let nothing = json!({"posts": 0, "mean": 0.0});
    assert_eq!(result["posts"], 4);
    assert_eq!(result["total_engagement"], 28);
    assert_eq!(
        (&result["mean_engagement"], &result["median_engagement"]),
        (&json!(7.0), &json!(6.0))
    );
    assert_eq!(
        result["by_kind"],
        json!({
            "original": {"posts": 2, "mean": 6.0}, "reply": {"posts": 1, "mean": 1.0},
            "retweet": {"posts": 1, "mean": 15.0},
        })
    );
    for (hour, group) in result["by_hour"].as_array().unwrap().iter().enumerate() {
        let expected = match hour {
            0 => json!({"posts": 1, "mean": 15.0}),
            12 => json!({"posts": 2, "mean": 6.0}),
            23 => json!({"posts": 1, "mean": 1.0}),
            _ => nothing.clone(),
        };
        assert_eq!(*group, expected, "hour {hour}");
    }
    let mut weekdays = vec![nothing; 7];
    weekdays[0] = json!({"posts": 2, "mean": 3.5});
    weekdays[1] = json!({"posts": 1, "mean": 15.0});
    weekdays[6] = json!({"posts": 1, "mean": 6.0});
    assert_eq!(result["by_weekday"], json!(weekdays));
    assert!(
        run.heatmap
            .contains("Monday, 12:00 to 12:59: 1 post, engagement 6")
    );
    assert!(run.heatmap.contains("hours in UTC"));
}

#[test]
fn no_posts() {
    let run = run("", Some("{}"));
    let result = run.result.unwrap();
    assert_eq!(
        (&result["posts"], &result["mean_engagement"]),
        (&json!(0), &json!(0.0))
    );
    assert!(run.heatmap.contains("No posts."));
}

#[test]
fn the_time_zone_is_a_parameter() {
    let posts = post("2017-10-02T23:10:00Z", "original", [1, 1, 1]);
    for (zone, hour, weekday) in [
        ("UTC", 23, 0),
        ("Europe/Prague", 1, 1),
        ("America/New_York", 19, 0),
        ("Asia/Kathmandu", 4, 1),
    ] {
        let run = run(&posts, Some(&json!({ "timezone": zone }).to_string()));
        let result = run.result.unwrap();
        assert_eq!(result["by_hour"][hour]["posts"], 1, "{zone}");
        assert_eq!(result["by_weekday"][weekday]["posts"], 1, "{zone}");
        assert!(run.heatmap.contains(&format!("hours in {zone}")));
    }
}

#[test]
fn the_largest_counts_are_exact() {
    let largest = i64::MAX as u64;
    let run = run(
        &post("2017-10-02T23:10:00Z", "reply", [largest; 3]).repeat(3),
        None,
    );
    let text = run.result.unwrap()["total_engagement"].to_string();
    // 9 × (2^63 − 1), more than 64 bits.
    assert!(
        text.starts_with("83010348331692982") || text.starts_with("8.301034833169298"),
        "{text}"
    );
}

#[test]
fn the_sample() {
    let run = run_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sample"));
    assert_eq!(run.code, Some(0), "{}", run.message);
    assert!(run.heatmap.contains("hours in Europe/Prague"));
}

#[test]
fn wrong_inputs_are_told_and_leave_no_result() {
    let good = post("2017-10-02T23:10:00Z", "original", [1, 1, 1]);
    let zone = |name: &str| json!({ "timezone": name }).to_string();
    for (posts, params, message) in [
        (
            good.clone(),
            zone("Mars/Olympus"),
            "Use an IANA name such as Europe/Prague",
        ),
        (good.clone(), zone(""), "is not known"),
        (good.clone(), "[".to_owned(), "params.json is wrong"),
        (
            good.clone(),
            "{\"zone\": 1}".to_owned(),
            "unknown field `zone`",
        ),
        (
            format!("{good}{{}}\n"),
            "{}".to_owned(),
            "posts:2 is not a clean post: missing field",
        ),
        (
            good.replace('Z', "+01:00"),
            "{}".to_owned(),
            "not a time in UTC",
        ),
        (
            good.replace("original", "advert"),
            "{}".to_owned(),
            "unknown variant `advert`",
        ),
        (
            good.replace(":1,", ":-1,"),
            "{}".to_owned(),
            "The input `posts` is the posts.jsonl",
        ),
        (
            "\n".to_owned(),
            "{}".to_owned(),
            "posts:1 is not a clean post",
        ),
        (
            "\u{0}\u{1}".to_owned(),
            "{}".to_owned(),
            "posts:1 is not a clean post",
        ),
    ] {
        let run = run(&posts, Some(&params));
        assert_eq!(run.code, Some(1), "{message}");
        assert!(run.message.contains(message), "{} / {message}", run.message);
        assert!(run.result.is_none());
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(run_in(empty.path()).message.contains("cannot read"));
}
