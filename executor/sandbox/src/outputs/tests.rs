//! Collecting from folders made by hand; real containers are in `tests/containment.rs`.

use super::*;
use crate::finished::{Cause, CauseKind};
use crate::policy::Policy;
use crate::runtime::Collect;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

struct Case {
    out: tempfile::TempDir,
    staging: tempfile::TempDir,
    collect: Collect,
}

impl Case {
    fn new() -> Self {
        let (out, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let artifact = DeclaredArtifact {
            path: "plots/map.svg".parse().unwrap(),
            media_type: "image/svg+xml".to_owned(),
            max_bytes: 100,
            optional: false,
        };
        let collect = Collect {
            staging: staging.path().to_owned(),
            declared: Declared {
                result_schema: serde_json::json!({
                    "type": "object",
                    "required": ["posts"],
                    "properties": {"posts": {"type": "integer"}}
                }),
                artifacts: BTreeMap::from([("map".parse().unwrap(), artifact)]),
            },
        };
        let case = Self {
            out,
            staging,
            collect,
        };
        case.write("result.json", br#"{"posts": 3}"#);
        case.write("plots/map.svg", b"<svg/>");
        case
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.out.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn collect(&self) -> Result<Outputs, Cause> {
        collect(self.out.path(), &self.collect, &Policy::default()).unwrap()
    }

    /// The kind of failure after a change, and that nothing hung and nothing leaked.
    fn fails(&self) -> (CauseKind, String) {
        let cause = self.collect().expect_err("must fail");
        assert!(!cause.hint.is_empty());
        (cause.kind, cause.message)
    }
}

#[test]
fn declared_files_are_staged_by_digest_and_the_rest_is_counted() {
    let case = Case::new();
    case.write("extra/deep/a.txt", b"12345");
    case.write("bad name \x1b[31m\n", b"x");
    let outputs = case.collect().unwrap();
    assert_eq!(
        outputs.dropped,
        Dropped {
            files: 2,
            folders: 2,
            bytes: 6
        }
    );
    assert_eq!(outputs.artifacts.len(), 1);
    let map = outputs.artifacts.values().next().unwrap();
    assert_eq!((map.bytes, map.media_type.as_str()), (6, "image/svg+xml"));
    let staged = case.staging.path().join(map.digest.hex());
    assert_eq!(std::fs::read(&staged).unwrap(), b"<svg/>");
    assert_eq!(
        staged.metadata().unwrap().permissions().mode() & 0o777,
        0o644
    );
    assert_eq!(map.digest, crate::plan::digest_of(b"<svg/>"));
    assert_eq!(case.staging.path().read_dir().unwrap().count(), 2);
    assert_eq!(case.collect().unwrap(), outputs, "again gives the same");
}

#[test]
fn anything_but_folders_and_plain_files_fails_the_task_wherever_it_is() {
    let special = |make: &dyn Fn(&Path)| {
        for place in ["extra", "plots/map.svg", "result.json"] {
            let case = Case::new();
            let path = case.path(place);
            let _ = std::fs::remove_file(&path);
            make(&path);
            let (kind, message) = case.fails();
            assert_eq!(kind, CauseKind::OutputForbidden, "{place}: {message}");
        }
    };
    special(&|path| symlink("/etc/shadow", path).unwrap());
    special(&|path| symlink("result.json", path).unwrap());
    let node =
        |kind| move |path: &Path| mknodat(CWD, path, kind, Mode::from(0o666), 0x0103).unwrap();
    special(&node(FileType::Fifo));
    special(&node(FileType::Socket));
    special(&node(FileType::CharacterDevice));
    special(&|path| {
        std::fs::write(path, "x").unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o4755)).unwrap();
    });
    special(&|path| {
        std::fs::write(path, "x").unwrap();
        std::fs::hard_link(path, path.with_extension("second")).unwrap();
    });
}

#[test]
fn a_folder_linked_away_is_not_followed() {
    let case = Case::new();
    std::fs::remove_dir_all(case.path("plots")).unwrap();
    symlink("/etc", case.path("plots")).unwrap();
    assert_eq!(case.fails().0, CauseKind::OutputForbidden);
}

#[test]
fn sizes_are_judged_by_what_a_reader_would_read() {
    let case = Case::new();
    case.write("plots/map.svg", &[b'x'; 100]);
    case.collect().unwrap();
    case.write("plots/map.svg", &[b'x'; 101]);
    assert_eq!(case.fails().0, CauseKind::OutputLimit);
    let mut case = Case::new();
    for artifact in case.collect.declared.artifacts.values_mut() {
        artifact.max_bytes = 1 << 40;
    }
    let file = std::fs::File::create(case.path("plots/map.svg")).unwrap();
    file.set_len(1 << 30).unwrap();
    let (kind, message) = case.fails();
    assert!(
        kind == CauseKind::OutputLimit && message.contains("sparse"),
        "{message}"
    );
}

#[test]
fn too_many_and_too_deep_end_the_walk() {
    let case = Case::new();
    let mut deep = case.path("deep");
    for _ in 0..20 {
        deep.push("d");
    }
    std::fs::create_dir_all(deep).unwrap();
    assert_eq!(case.fails().0, CauseKind::OutputLimit);
    let case = Case::new();
    for n in 0..1_100 {
        std::fs::create_dir(case.path(&format!("d{n}"))).unwrap();
    }
    assert_eq!(case.fails().0, CauseKind::OutputLimit);
}

#[test]
fn results_that_are_missing_or_wrong_say_what_is_wrong_without_quoting() {
    let case = Case::new();
    std::fs::remove_file(case.path("result.json")).unwrap();
    assert_eq!(case.fails().0, CauseKind::ResultMissing);
    std::fs::create_dir(case.path("result.json")).unwrap();
    assert_eq!(case.fails().0, CauseKind::OutputForbidden);
    std::fs::remove_dir(case.path("result.json")).unwrap();
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    for bad in [
        &b""[..],
        b"{",
        b"{} {}",
        b"\xff",
        b"NaN",
        br#"{"posts": "secret"}"#,
        br#"{"secret": 1}"#,
        b"[]",
        &deep,
    ] {
        case.write("result.json", bad);
        let (kind, message) = case.fails();
        assert_eq!(kind, CauseKind::ResultInvalid);
        assert!(!message.contains("secret"), "{message}");
    }
    case.write("result.json", &vec![b' '; (4 << 20) + 1]);
    assert_eq!(case.fails().0, CauseKind::OutputLimit);
    case.write("result.json", br#"{"posts": 1}"#);
    std::fs::remove_dir_all(case.path("plots")).unwrap();
    assert_eq!(case.fails().0, CauseKind::ArtifactMissing);
    let mut case = case;
    for artifact in case.collect.declared.artifacts.values_mut() {
        artifact.optional = true;
    }
    assert!(case.collect().unwrap().artifacts.is_empty());
}
