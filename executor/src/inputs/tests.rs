//! The cache on a real filesystem.

use super::*;

fn open(folder: &Path, boot: &str, max_bytes: u64) -> Arc<Cache> {
    let limits = CacheLimits {
        max_bytes,
        reserve_bytes: 0,
    };
    Cache::open(folder, boot, limits).unwrap()
}

fn client() -> SchedulerClient {
    // Nobody is there; what is here must not be fetched.
    let address = "http://127.0.0.1:9".to_owned();
    SchedulerClient::new(&[address], crate::Credential::new("x")).unwrap()
}

fn sha256(text: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(text.as_bytes()).into())
}

async fn ask(cache: &Arc<Cache>, text: &str, digest: Digest) -> Result<Held, InputError> {
    let lease = crate::testing::lease_ref("a", 1);
    let text = text.to_owned();
    let input = WorkInput::Inline { text, digest };
    cache.input(&client(), Under(&lease), &input).await
}

async fn put(cache: &Arc<Cache>, text: &str) -> (Digest, Held) {
    let digest = sha256(text);
    (digest, ask(cache, text, digest).await.unwrap())
}

#[tokio::test]
async fn what_is_held_stays_and_the_longest_unused_goes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), "boot", 10);
    let (a, held_a) = put(&cache, "aaaaaa").await;
    let (b, held_b) = put(&cache, "bbbbbb").await;
    assert!(
        held_a.path().exists() && held_b.path().exists(),
        "both are in use"
    );
    drop(held_b);
    assert!(cache.hold(b).is_none(), "over the limit and not in use");
    let (c, held_c) = put(&cache, "cc").await;
    drop((held_a, held_c));
    assert!(
        cache.hold(a).is_some() && cache.hold(c).is_some(),
        "8 of 10 bytes"
    );
    let mode = std::fs::metadata(cache.path(a))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[tokio::test]
async fn a_new_incarnation_finds_whole_files_and_deletes_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), "boot", 100);
    let (a, held) = put(&cache, "aaaa").await;
    drop(held);
    std::fs::write(folder.path().join("part-x"), "half").unwrap();
    let again = open(folder.path(), "boot", 100);
    assert!(again.hold_whole(a, 4).is_some());
    assert!(!folder.path().join("part-x").exists());
}

#[tokio::test]
async fn after_a_boot_a_file_is_used_only_when_it_is_still_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), "boot", 100);
    let (whole, held) = put(&cache, "whole").await;
    let (damaged, other) = put(&cache, "damaged").await;
    let inode = |path: PathBuf| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before = inode(held.path());
    drop((held, other));
    // As a power loss leaves it: the name is there, the bytes are not.
    std::fs::remove_file(cache.path(damaged)).unwrap();
    std::fs::write(cache.path(damaged), "\0\0\0\0\0\0\0").unwrap();
    // A second start without anybody asking changes nothing.
    drop(open(folder.path(), "next boot", 100));
    let cache = open(folder.path(), "next boot", 100);
    assert!(!cache.path(whole).exists() && !cache.path(damaged).exists());
    let (_, held) = put(&cache, "whole").await;
    assert_eq!(inode(held.path()), before, "it was not written again");
    let (_, held) = put(&cache, "damaged").await;
    assert_eq!(std::fs::read(held.path()).unwrap(), b"damaged");
    assert_eq!(folder.path().read_dir().unwrap().count(), 3, "and the boot");
}

#[tokio::test]
async fn a_file_of_another_size_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let digest = sha256("text");
    drop(open(folder.path(), "boot", 100));
    std::fs::write(folder.path().join(digest.hex()), "").unwrap();
    let cache = open(folder.path(), "boot", 100);
    let (_, held) = put(&cache, "text").await;
    assert_eq!(std::fs::read(held.path()).unwrap(), b"text");
}

#[tokio::test]
async fn what_does_not_fit_on_the_disk_is_said_before_it_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), "boot", 100);
    let (small, held) = put(&cache, "small").await;
    drop(held);
    let lease = crate::testing::lease_ref("a", 1);
    let blob = WorkBlob {
        digest: sha256("huge"),
        size: 1 << 60,
        url: "/executor/v1/blobs/x".to_owned(),
    };
    let error = cache.blob(&client(), Under(&lease), &blob).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, InputError::NoRoom { needed, .. } if needed == 1 << 60),
        "{error}"
    );
    assert!(cache.hold(small).is_some(), "nothing was deleted in vain");
}

#[tokio::test]
async fn other_bytes_than_named_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), "boot", 100);
    let wrong = ask(&cache, "a", Digest::from_bytes([0; 32])).await;
    assert!(matches!(wrong, Err(InputError::WrongInline { .. })));
}
