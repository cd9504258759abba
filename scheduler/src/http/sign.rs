//! Small signed texts: cursors and session cookies, good only for what they were made for.
//!
//! `base64url(payload) "." base64url(HMAC-SHA-256(key, purpose 0x00 payload))` (RFC 2104, RFC 4648
//! section 5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use subtle::ConstantTimeEq as _;

/// The server's secret. Never shown.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// The key of these bytes, which must be random.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key in the file at `path`, which is made, mode 0600, where it is not there: so sessions and
    /// cursors outlive a restart.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or made, or does not hold 32 bytes.
    pub fn load_or_make(path: &Path) -> std::io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let key: [u8; 32] = rand::random();
                file.write_all(&key)?;
                file.sync_all()?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let bytes = std::fs::read(path)?;
                let wrong = |_| std::io::Error::other("it does not hold 32 bytes; remove it");
                Ok(Self(bytes.try_into().map_err(wrong)?))
            }
            Err(error) => Err(error),
        }
    }

    /// `payload`, signed for `purpose`.
    #[must_use]
    pub fn sign(&self, purpose: &str, payload: &[u8]) -> String {
        let tag = hmac(&self.0, &[purpose.as_bytes(), &[0], payload]);
        let (payload, tag) = (URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(tag));
        format!("{payload}.{tag}")
    }

    /// What was signed for `purpose`, if it was.
    #[must_use]
    pub fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let (payload, tag) = text.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let right = hmac(&self.0, &[purpose.as_bytes(), &[0], &payload]);
        bool::from(right.as_slice().ct_eq(&tag)).then_some(payload)
    }
}

/// HMAC-SHA-256 with a key of at most 64 bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let mut inner = Sha256::new_with_prefix(pad(0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new_with_prefix(pad(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_as_in_rfc_4231() {
        let found = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(found),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn only_what_was_signed_for_the_purpose_opens() {
        let key = SigningKey::new([7; 32]);
        let text = key.sign("cursor", b"run/7");
        assert_eq!(key.open("cursor", &text).unwrap(), b"run/7");
        assert_eq!(key.open("session", &text), None);
        assert_eq!(SigningKey::new([8; 32]).open("cursor", &text), None);
        let forged = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode("run/8"),
            text.split_once('.').unwrap().1
        );
        assert_eq!(key.open("cursor", &forged), None);
        for text in ["", ".", "a", "a.b", "é.é"] {
            assert_eq!(key.open("cursor", text), None, "{text:?}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.key");
        let text = SigningKey::load_or_make(&path).unwrap().sign("a", b"b");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SigningKey::load_or_make(&path).unwrap();
        assert!(again.open("a", &text).is_some());
        std::fs::write(&path, "short").unwrap();
        assert!(SigningKey::load_or_make(&path).is_err());
    }
}
