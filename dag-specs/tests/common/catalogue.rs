//! A catalogue with a few analyses, datasets and a pool.

use belljar_dag_specs::{
    AnalysisRef, Catalogue, DatasetInfo, DatasetName, DatasetSelector, PoolName, ResolvedAnalysis,
};
use belljar_manifest::{InputKind, Manifest, Sha256Digest, parse_manifest};
use std::path::Path;
use std::sync::Arc;

/// What is published, for tests.
pub struct Sample {
    manifests: Vec<Arc<Manifest>>,
}

const MAKE: &str = "
analysis: make
version: 1.0.0
summary: Makes a text
image: .
result: true
artifacts:
  text: { path: out.txt, media_type: text/plain }
  notes: { path: notes.txt, media_type: text/plain, optional: true }
";
const READ: &str = "
analysis: read
version: 1.2.0
summary: Reads a text
image: .
inputs:
  text: { media_type: text/plain }
  folder: { media_type: text/plain, kind: folder, optional: true }
params:
  type: object
  additionalProperties: false
  properties:
    count: { type: integer, default: 1 }
    zone: { type: string }
result: true
";

impl Sample {
    /// `make` and `read`.
    pub fn new() -> Self {
        let parse = |text| Arc::new(parse_manifest(text, "analysis.yaml").unwrap().manifest);
        Self {
            manifests: [MAKE, READ].map(parse).into(),
        }
    }

    /// The analyses of this repository.
    pub fn of_repository() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../analyses");
        let mut manifests = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path().join("analysis.yaml");
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            let parsed = parse_manifest(&text, &file.to_string_lossy());
            let manifest = parsed
                .map(|parsed| parsed.manifest)
                .unwrap_or_else(|problems| {
                    panic!(
                        "{}",
                        belljar_manifest::render(
                            &problems,
                            Some(&text),
                            belljar_manifest::Style::Plain
                        )
                    )
                });
            manifests.push(Arc::new(manifest));
        }
        assert!(manifests.len() >= 5, "the analyses are not where they were");
        Self { manifests }
    }
}

impl Catalogue for Sample {
    fn analysis(&self, reference: &AnalysisRef) -> Option<ResolvedAnalysis> {
        let image = Sha256Digest::of(b"");
        let found = self.manifests.iter().filter(|manifest| {
            manifest.analysis == reference.name
                && reference
                    .selector
                    .matches(&manifest.version, &manifest.digest(&image))
        });
        let newest = found.max_by_key(|manifest| manifest.version.clone())?;
        Some(ResolvedAnalysis {
            version: newest.version.clone(),
            manifest: Arc::clone(newest),
        })
    }

    fn dataset(&self, name: &DatasetName, version: &DatasetSelector) -> Option<DatasetInfo> {
        let (media_type, kind) = match name.as_str() {
            "text" => ("text/plain", InputKind::File),
            "folder" => ("text/plain", InputKind::Folder),
            "table" | "posts" => ("text/csv", InputKind::File),
            _ => return None,
        };
        let exists = matches!(
            version,
            DatasetSelector::Newest | DatasetSelector::Number(1)
        );
        exists.then(|| DatasetInfo {
            media_type: media_type.parse().unwrap(),
            kind,
        })
    }

    fn pool(&self, name: &PoolName) -> Option<u32> {
        matches!(name.as_str(), "small" | "heavy").then_some(2)
    }
}
