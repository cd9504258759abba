//! Getting an image into the container engine.
//!
//! Owns: where it comes from. Leaves to others: reading and checking archives (the sandbox).

use crate::inputs::InputError;
use crate::node::Node;
use crate::scheduler_client::Under;
use belljar_api::executor::{WorkImage, WorkImageSource};
use belljar_sandbox::{ImageId, SandboxError};

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive could not be had.
    #[error("failed to fetch the image: {0}")]
    Fetch(#[from] InputError),
    /// The engine or the archive.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The lease names no place that this executor can take it from.
    #[error("the image is not in the engine, and the lease names no archive of it")]
    NoSource,
}

/// Makes sure that the engine has the image: by its configuration's digest, or else from its
/// archive, fetched by digest and checked again by the sandbox. One at a time for each image.
///
/// # Errors
///
/// [`ImageError`].
pub async fn ensure(node: &Node, under: Under<'_>, image: &WorkImage) -> Result<(), ImageError> {
    let id = ImageId(image.config);
    if node.engine.knows_image(id) {
        return Ok(());
    }
    let turn = node.engine.image_turn(id);
    let _turn = turn.lock().await;
    if node.engine.knows_image(id) || node.engine.has_image(id).await? {
        return Ok(());
    }
    let blob = image
        .from
        .iter()
        .find_map(|source| match source {
            WorkImageSource::Blob(blob) => Some(blob),
            // Registries come with a later version; the scheduler always offers an archive too.
            WorkImageSource::Registry(_) => None,
        })
        .ok_or(ImageError::NoSource)?;
    let archive = node.cache.blob(&node.client, under, blob).await?;
    tracing::info!(image = %id, "loading an image");
    node.engine.load_image(&archive.path(), id).await?;
    Ok(())
}
