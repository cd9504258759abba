//! Publishing and trusting analyses.

use super::codes;
use super::{By, Service, ServiceError, digest, invalid, unexpected};
use belljar_api::analyses::{AnalysisSubmit, ImageSource};
use belljar_engine::command::{Command, Reply};
use belljar_engine::plan;
use belljar_engine::rows::AnalysisRow;
use belljar_ids::{AnalysisName, Micros};
use belljar_manifest::code;
use belljar_manifest::{Diagnostic, Manifest, Sha256Digest};
use serde_json::Value;

impl Service {
    /// Publishes a version of an analysis. The version, and whether it is new.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Invalid`] for the manifest or the image, [`ServiceError::Leader`] where the
    /// version exists with another content.
    pub async fn analysis_submit(
        &self,
        by: &By,
        submit: AnalysisSubmit,
    ) -> Result<(AnalysisRow, bool), ServiceError> {
        let AnalysisSubmit { manifest, image } = submit;
        let checked = self.compute(move || read(manifest)).await?;
        let manifest = checked.map_err(|problems| invalid("the manifest", problems))?;
        let image = plan::Image {
            digest: image.digest,
            config: image.config,
            from: image.from.into_iter().map(source).collect(),
        };
        self.check_image(by, &image).await?;
        let image_digest = Sha256Digest::from_bytes(*image.digest.as_bytes());
        let stored = |value: Result<Value, serde_json::Error>| {
            value.map_err(|error| ServiceError::Stored(error.to_string()))
        };
        let row = AnalysisRow {
            tenant: by.tenant.clone(),
            analysis: super::resolve::id(manifest.analysis.as_str())?,
            version: manifest.version.to_string(),
            digest: digest(manifest.digest(&image_digest)),
            manifest: stored(serde_json::to_value(&manifest))?,
            image: stored(serde_json::to_value(&image))?,
            trusted: false,
            withdrawn: false,
            publisher: by.principal.clone(),
            // Filled in by the engine.
            created_at: Micros(0),
        };
        match self
            .leader
            .send(Command::AnalysisPut(Box::new(row)))
            .await?
        {
            Reply::Analysis { analysis, created } => Ok((*analysis, created)),
            _ => Err(unexpected()),
        }
    }

    /// Checks that the image can be had from each place it is said to be.
    async fn check_image(&self, by: &By, image: &plan::Image) -> Result<(), ServiceError> {
        let mut problems = Vec::new();
        if image.from.is_empty() {
            let message = "the image can be had from nowhere: name a blob or a registry";
            problems.push(wrong("/image/from".to_owned(), message));
        }
        for (index, source) in image.from.iter().enumerate() {
            let pointer = format!("/image/from/{index}");
            match source {
                plan::ImageSource::Blob(blob) => {
                    let size = self.blobs.size(&by.tenant, blob.digest).await?;
                    if size != Some(blob.size) {
                        let message = match size {
                            None => format!("there is no blob {}; put it first", blob.digest),
                            Some(size) => format!("the blob has {size} bytes, not {}", blob.size),
                        };
                        problems.push(wrong(pointer, message));
                    }
                }
                plan::ImageSource::Registry(reference) => {
                    if !reference.ends_with(&format!("@{}", image.digest)) {
                        let message = format!("a registry reference must end in @{}", image.digest);
                        problems.push(wrong(pointer, message));
                    }
                }
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(invalid("the image", problems))
        }
    }

    /// Lets a version run under plain `runc`, or takes that back.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Leader`], also where there is no such version.
    pub async fn analysis_trust(
        &self,
        by: &By,
        analysis: AnalysisName,
        version: String,
        trusted: bool,
    ) -> Result<AnalysisRow, ServiceError> {
        let command = Command::AnalysisTrust {
            tenant: by.tenant.clone(),
            analysis,
            version,
            trusted,
            principal: by.principal.clone(),
        };
        match self.leader.send(command).await? {
            Reply::Analysis { analysis, .. } => Ok(*analysis),
            _ => Err(unexpected()),
        }
    }
}

fn read(manifest: Value) -> Result<Manifest, Vec<Diagnostic>> {
    let manifest: Manifest = serde_json::from_value(manifest)
        .map_err(|error| vec![Diagnostic::error(&code::WRONG_TYPE, "", error.to_string())])?;
    manifest.check()?;
    Ok(manifest)
}

fn wrong(pointer: String, message: impl Into<String>) -> Diagnostic {
    codes::problem(&codes::IMAGE_SOURCE, &pointer, message.into())
}

fn source(source: ImageSource) -> plan::ImageSource {
    match source {
        ImageSource::Blob(blob) => plan::ImageSource::Blob(plan::BlobRef {
            digest: blob.digest,
            size: blob.size,
        }),
        ImageSource::Registry(reference) => plan::ImageSource::Registry(reference),
    }
}
