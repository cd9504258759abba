//! What has to be there before the children start: the lock, folders, the user, the first token.

use crate::args::StandaloneArgs;
use crate::roles::RoleError;
use anyhow::Context as _;
use belljar_scheduler::service::tokens::Token;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

/// Everything the children need.
#[derive(Debug)]
pub struct Prepared {
    pub data_dir: PathBuf,
    pub token_file: PathBuf,
    /// The administrator's token.
    pub token: String,
    /// What the executor signs in with; new for each start.
    pub credential: String,
    /// The server's uid and gid.
    pub user: (u32, u32),
    _lock: File,
}

impl Prepared {
    pub fn make(args: &StandaloneArgs) -> anyhow::Result<Self> {
        let user = server_user(args.user.as_deref())?;
        folder(&args.data_dir, 0o755, None)?;
        let data_dir = args
            .data_dir
            .canonicalize()
            .context("failed to find the data directory")?;
        let lock = lock(&data_dir)?;
        folder(&data_dir.join("server"), 0o700, Some(user))?;
        folder(&data_dir.join("executor"), 0o700, None)?;
        let token_file = data_dir.join("token");
        let token = token(&token_file)?;
        Ok(Self {
            token,
            token_file,
            data_dir,
            credential: secret()?,
            user,
            _lock: lock,
        })
    }
}

impl Prepared {
    /// What the executor signs in with, anew.
    pub fn renew_credential(&mut self) -> anyhow::Result<()> {
        self.credential = secret()?;
        Ok(())
    }
}

/// Makes a folder of this mode and owner; its parents with their usual ones.
fn folder(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    let failed = || format!("failed to prepare the folder {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(failed);
        }
        _ => {}
    }
    if let Some((uid, gid)) = owner {
        chown(path, Some(uid), Some(gid)).with_context(failed)?;
    }
    Ok(())
}

/// Keeps a second standalone off the same data directory, for as long as this process lives.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join("standalone.lock");
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("failed to open {}", path.display()))?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        // Only for the message.
        let _ = file.read_to_string(&mut holder);
        return Err(RoleError::precondition(format!(
            "another `belljar standalone` (process {}) uses the data directory {}; stop it, or \
             choose another one with --data-dir",
            holder.trim(),
            data_dir.display()
        ))
        .into());
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .context("failed to write the lock file")?;
    write!(file, "{}", std::process::id()).context("failed to write the lock file")?;
    Ok(file)
}

/// The administrator's token: the one in the file, or on the first start a new one, for the eyes of
/// the person who called (through sudo, too) alone.
pub fn token(path: &Path) -> anyhow::Result<String> {
    let failed = || format!("failed to read or make the token file {}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim().to_owned();
            text.parse::<Token>().map_err(|error| {
                RoleError::precondition(format!(
                    "{} does not hold a token ({error}); remove it, and a new one is made",
                    path.display()
                ))
            })?;
            return Ok(text);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(failed),
    }
    let token = Token::mint().expose();
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Complete before it has its name, so that a crash leaves none or a whole one. Mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    writeln!(file, "{token}").with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    let id = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|id| id.parse::<u32>().ok())
    };
    if let Some(uid) = id("SUDO_UID") {
        chown(file.path(), Some(uid), id("SUDO_GID")).with_context(failed)?;
    }
    file.persist(path)
        .map_err(|error| error.error)
        .with_context(failed)?;
    Ok(token)
}

/// 256 random bits in hexadecimal.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("failed to draw a random secret")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Uid and gid of the user that the server is to run as. Never root.
fn server_user(wanted: Option<&str>) -> anyhow::Result<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").context("failed to read /etc/passwd")?;
    let found = match wanted {
        Some(name) => Some(find_user(&passwd, name).ok_or_else(|| {
            RoleError::precondition(format!("there is no user `{name}` on this machine"))
        })?),
        None => find_user(&passwd, "belljar")
            .or_else(|| find_user(&passwd, &std::env::var("SUDO_UID").ok()?)),
    };
    match found {
        Some((0, _)) => Err(RoleError::precondition(
            "the server must not run as root; name another user with --user",
        )
        .into()),
        Some(user) => Ok(user),
        None => Err(RoleError::precondition(
            "the server needs an unprivileged user to run as: make one with `useradd --system \
             --no-create-home --shell /usr/sbin/nologin belljar`, or name one with --user",
        )
        .into()),
    }
}

/// Uid and gid of a user by name or uid, from the text of `/etc/passwd` (passwd(5)).
fn find_user(passwd: &str, wanted: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        (name == wanted || uid == wanted).then_some(())?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbelljar:x:997:996::/nonexistent:/x\n";

    #[test]
    fn users_are_found_by_name_and_uid() {
        assert_eq!(find_user(PASSWD, "belljar"), Some((997, 996)));
        assert_eq!(find_user(PASSWD, "997"), Some((997, 996)));
        assert_eq!(find_user(PASSWD, "nobody"), None);
        assert_eq!(find_user("broken\n:::\n", "x"), None);
    }

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = token(&path).unwrap();
        assert_eq!(token(&path).unwrap(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "nonsense").unwrap();
        assert!(token(&path).unwrap_err().to_string().contains("remove it"));
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let _held = lock(folder.path()).unwrap();
        let error = lock(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
    }
}
