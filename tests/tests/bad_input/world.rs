//! The Belljar that everything bad is done to, and what it must not lose.

use belljar_tests::{Answer, Standalone, root};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A standalone with analyses, data and a run that succeeded.
pub struct World {
    pub belljar: Standalone,
    run: String,
    result: String,
    files: AtomicU32,
}

const GOOD: &str = "dag: good\ntasks:\n  clean:\n    analysis: posts-clean@1\n    \
                    inputs: { export: dataset:posts }\n  after: { analysis: noop@1, needs: [clean] }\n";

impl World {
    pub fn new() -> Self {
        let belljar = Standalone::start();
        belljar.submit(&["noop", "posts-clean"]);
        submit(
            &belljar,
            &root()
                .join("tests/fixtures/misbehave")
                .display()
                .to_string(),
        );
        let sample = root().join("analyses/posts-clean/sample/export");
        put(&belljar, "posts", &sample.display().to_string(), "text/csv");
        put(
            &belljar,
            "foreign",
            &sample.display().to_string(),
            "text/csv",
        );
        let mut world = Self {
            belljar,
            run: String::new(),
            result: String::new(),
            files: AtomicU32::new(0),
        };
        let file = world.file("good.yaml", GOOD.as_bytes());
        let _ = world.belljar.cli(&["dag", "apply", &file]).good();
        world.run = world.belljar.json(&["dag", "run", "good", "--wait"])["run"]["run"]
            .as_str()
            .unwrap()
            .to_owned();
        world.result = world.good_result();
        world.give_away("foreign");
        world
    }

    /// A file for a case; its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let folder = self.belljar.data().join(format!(
            "case-{}",
            self.files.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    pub fn cli(&self, args: &[&str]) -> Answer {
        self.belljar.cli(args)
    }

    /// Makes a dataset somebody else's. There is only one principal today, so it is done where a second
    /// one's would be: in the database, while nobody uses it.
    fn give_away(&mut self, dataset: &str) {
        assert_eq!(self.belljar.stop(), Some(0));
        let database = self.belljar.data().join("server/belljar.db");
        let program = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
                       done = db.execute('UPDATE dataset SET owner = ? WHERE dataset = ?', ('somebody-else', sys.argv[2]))\n\
                       assert done.rowcount == 1\ndb.commit()\n";
        let done = Command::new("python3")
            .args(["-c", program])
            .arg(database)
            .arg(dataset)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let owner = Command::new("chown")
            .arg("-R")
            .arg("--reference")
            .arg(self.belljar.data().join("server"))
            .arg(self.belljar.data().join("server"))
            .status()
            .unwrap();
        assert!(owner.success());
        self.belljar.start_again();
    }

    fn good_result(&self) -> String {
        self.belljar
            .cli(&["run", "result", &self.run, "clean"])
            .good()
            .out
    }

    /// The data, the DAG, the run and its result are there, and the DAG still runs.
    pub fn has_lost_nothing(&self) {
        assert_eq!(self.good_result(), self.result);
        let shown = self.belljar.json(&["run", "show", &self.run]);
        assert_eq!(shown["run"]["state"], "succeeded");
        let uses = self.belljar.json(&["dataset", "show", "posts"]);
        assert!(uses["uses"].to_string().contains(&self.run), "{uses}");
        let _ = self.belljar.cli(&["dag", "run", "good", "--wait"]).good();
        self.belljar.assert_clean();
    }

    pub fn restart(&mut self) {
        assert_eq!(self.belljar.stop(), Some(0));
        self.belljar.start_again();
    }

    pub fn end(&mut self) {
        assert_eq!(self.belljar.stop(), Some(0));
        self.belljar.assert_clean();
    }
}

pub fn submit(belljar: &Standalone, folder: &str) {
    let _ = belljar.cli(&["analysis", "submit", folder]).good();
}

pub fn put(belljar: &Standalone, name: &str, file: &str, media_type: &str) {
    let _ = belljar
        .cli(&["dataset", "put", name, file, "--media-type", media_type])
        .good();
}

/// A call to the API with `token`, by curl; its status and body.
pub fn call(
    belljar: &Standalone,
    token: Option<&str>,
    args: &[&str],
    path: &str,
) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-w", "\n%{http_code}"]).args(args);
    if let Some(token) = token {
        curl.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    let output = curl
        .arg(format!("{}/api/v1{path}", belljar.url()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// The standalone's own token.
pub fn token(belljar: &Standalone) -> String {
    std::fs::read_to_string(belljar.data().join("token"))
        .unwrap()
        .trim()
        .to_owned()
}
