//! Images in the engine: what one is, loading, exporting, building small ones.

use super::engine::{CALL, is_not_found, sorted, within};
use super::{DockerRuntime, Inner, blocking};
use crate::error::{Result, SandboxError};
use crate::image::{
    ArchiveError, ArchiveLimits, ImageConfig, ImageFacts, ImageId, convert_docker_archive,
    inspect_archive,
};
use bollard::models::ImageInspect;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptions};
use futures::{StreamExt as _, TryStreamExt as _};
use std::fs::File;
use std::io::{BufReader, Seek as _, Write};
use std::path::Path;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

impl DockerRuntime {
    /// What the engine knows of an image, by id or by reference; `None` where it has none.
    ///
    /// # Errors
    /// The engine's.
    pub async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>> {
        self.inner.image_facts(reference).await
    }

    /// Whether the engine has the image.
    ///
    /// # Errors
    /// The engine's.
    pub async fn image_present(&self, id: ImageId) -> Result<bool> {
        Ok(self.image_facts(&id.to_string()).await?.is_some())
    }

    /// Loads the image of an archive into the engine, unless it is there. The archive is checked
    /// as a whole before the engine sees a byte of it.
    ///
    /// # Errors
    /// `Archive` where it is not an archive of that image; the engine's.
    pub async fn image_load(
        &self,
        archive: &Path,
        wanted: ImageId,
        limits: &ArchiveLimits,
    ) -> Result<ImageFacts> {
        if let Some(facts) = self.image_facts(&wanted.to_string()).await? {
            return Ok(facts);
        }
        let (path, limits) = (archive.to_owned(), limits.clone());
        let (file, facts) = blocking(move || {
            let mut file = File::open(&path).map_err(SandboxError::host("open", &path))?;
            let facts = inspect_archive(BufReader::new(&file), &limits)?;
            file.rewind().map_err(SandboxError::host("rewind", &path))?;
            Ok((file, facts))
        })
        .await?;
        if facts.id != wanted {
            let found = facts.id;
            return Err(ArchiveError::WrongImage { wanted, found }.into());
        }
        self.inner.load(file).await?;
        self.image_present(wanted)
            .await?
            .then_some(facts)
            .ok_or_else(|| {
                SandboxError::Confused(format!("the engine loaded {wanted} but does not have it"))
            })
    }

    /// Writes the archive of an image: the same bytes for the same image, wherever. `scratch` is a
    /// folder with room for the image.
    ///
    /// # Errors
    /// `Engine` with status 404 where there is no such image; `Archive` where the engine's export
    /// is not understood.
    pub async fn image_export<W: Write + Send + 'static>(
        &self,
        reference: &str,
        scratch: &Path,
        mut writer: W,
    ) -> Result<(ImageFacts, W)> {
        let spooled = self.inner.save(reference, scratch).await?;
        blocking(move || {
            let facts = convert_docker_archive(spooled, &mut writer, &ArchiveLimits::default())?;
            Ok((facts, writer))
        })
        .await
    }

    /// Removes an image that nothing uses; no error where it is not there.
    ///
    /// # Errors
    /// The engine's, where a container uses it.
    pub async fn image_remove(&self, id: ImageId) -> Result<()> {
        let name = id.to_string();
        let options = None::<RemoveImageOptions>;
        let call = self.inner.engine.docker.remove_image(&name, options, None);
        match within("remove the image", CALL, call).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    pub(super) async fn image_facts(&self, reference: &str) -> Result<Option<ImageFacts>> {
        let call = self.engine.docker.inspect_image(reference);
        match within("inspect the image", CALL, call).await {
            Ok(image) => facts(image).map(Some),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn load(&self, file: File) -> Result<()> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 17);
        let body = bollard::body_try_stream(body);
        let mut answers = Box::pin(self.engine.docker.import_image(options, body, None));
        while let Some(answer) = answers.next().await {
            answer.map_err(|error| sorted("load the image", error))?;
        }
        Ok(())
    }

    /// The engine's own export, in an unlinked file.
    async fn save(&self, reference: &str, scratch: &Path) -> Result<File> {
        let host = |doing| SandboxError::host(doing, scratch);
        let file = tempfile::tempfile_in(scratch).map_err(host("create a file in"))?;
        let mut file = tokio::fs::File::from_std(file);
        let mut bytes = Box::pin(self.engine.docker.export_image(reference));
        let next = "export the image";
        while let Some(chunk) = bytes.try_next().await.map_err(|e| sorted(next, e))? {
            file.write_all(&chunk).await.map_err(host("write to"))?;
        }
        file.flush().await.map_err(host("write to"))?;
        let mut file = file.into_std().await;
        file.rewind().map_err(host("rewind a file in"))?;
        Ok(file)
    }
}

fn facts(image: ImageInspect) -> Result<ImageFacts> {
    let confused = |what: &str| SandboxError::Confused(format!("the engine's image has {what}"));
    let id = image.id.unwrap_or_default();
    let layers = image.root_fs.and_then(|fs| fs.layers).unwrap_or_default();
    let layers = layers.iter().map(|layer| layer.parse());
    let config = image.config.unwrap_or_default();
    let (os, arch) = (
        image.os.unwrap_or_default(),
        image.architecture.unwrap_or_default(),
    );
    let sorted = |list: Option<Vec<String>>| {
        let mut list = list.unwrap_or_default();
        list.sort();
        list
    };
    let test = config
        .healthcheck
        .and_then(|check| check.test)
        .unwrap_or_default();
    Ok(ImageFacts {
        id: id.parse().map_err(|_| confused("no SHA-256 id"))?,
        manifest_digest: None,
        layers: layers
            .collect::<Result<_, _>>()
            .map_err(|_| confused("a strange layer"))?,
        bytes: u64::try_from(image.size.unwrap_or(0)).unwrap_or(0),
        platform: format!("{os}/{arch}"),
        config: ImageConfig {
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            volumes: sorted(config.volumes),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            exposed_ports: sorted(config.exposed_ports),
            healthcheck: test.first().is_some_and(|word| word != "NONE"),
            stop_signal: config.stop_signal.unwrap_or_default(),
            on_build: config.on_build.unwrap_or_default(),
        },
    })
}
