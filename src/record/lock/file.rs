//! Operations on lock files. Each is built on a file system operation that succeeds on one machine only.

use super::Owner;
use fathom_base::make_readable;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Whether a lock was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    Yes,
    /// Another lock is there by now, which stays.
    No,
}

/// Reads a lock file; `None` if there is none. It is opened for every read, as a network file system
/// asks its server then.
pub(super) fn look(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        // A handle becomes stale when another machine replaces the file after its name was looked up.
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESTALE)
}

/// Creates the lock file if there is none; returns whether it did.
pub(super) fn place(path: &Path, owner: &Owner) -> io::Result<bool> {
    place_by(path, owner, |temporary, path| std::fs::hard_link(temporary, path))
}

/// Does what [`place`] does with another function for hard links, so that tests can let them fail.
pub(super) fn place_by(
    path: &Path,
    owner: &Owner,
    link: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut temporary = tempfile::Builder::new()
        .prefix(".lock")
        .suffix(".tmp")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    temporary.write_all(&owner.bytes())?;
    temporary.as_file().sync_all()?;
    make_readable(&temporary)?;
    let ours = || {
        look(path).is_ok_and(|found| found.is_some_and(|f| Owner::read(&f).token == owner.token))
    };
    match link(temporary.path(), path) {
        Ok(()) => Ok(true),
        // The link may exist because its confirmation was lost and the request was sent again.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(ours()),
        // The file system has no hard links, or another fault, which occurs again in `create`.
        Err(_) => create(path, owner),
    }
}

/// Creates the file exclusively. Others may see it before it is written, and watch it in the meantime.
fn create(path: &Path, owner: &Owner) -> io::Result<bool> {
    let mut file = match std::fs::File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        other => other?,
    };
    let written = file.write_all(&owner.bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.map(|()| true)
}

/// Writes the new counter into the file if it has the owner's token; returns whether it has. The bytes
/// go into the file that was read, under whatever name it has by now, so a lock that was taken over in
/// between is not restored.
pub(super) fn renew(path: &Path, owner: &Owner) -> io::Result<bool> {
    let mut file = match std::fs::File::options().read(true).write(true).open(path) {
        Err(error) if is_gone(&error) => return Ok(false),
        other => other?,
    };
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    if Owner::read(&found).token != owner.token {
        return Ok(false);
    }
    // The length is the same as before, so no space is allocated and nothing is left over.
    file.write_all_at(&owner.bytes(), 0)?;
    file.sync_all()?;
    Ok(true)
}

/// Removes the lock if its content is the expected one.
pub(super) fn withdraw(
    path: &Path,
    token: &str,
    expected: impl Fn(&[u8]) -> bool,
) -> io::Result<Withdrawn> {
    match look(path)? {
        Some(found) if expected(&found) => move_away(path, token, expected),
        _ => Ok(Withdrawn::No),
    }
}

/// Renames the lock file to a name of this process (from its `token`), and back if its content is not
/// the expected one.
pub(super) fn move_away(
    path: &Path,
    token: &str,
    expected: impl Fn(&[u8]) -> bool,
) -> io::Result<Withdrawn> {
    let mut away = path.as_os_str().to_owned();
    away.push(format!(".stale.{token}"));
    let away = PathBuf::from(away);
    match std::fs::rename(path, &away) {
        // Another process was faster, unless only the confirmation was lost.
        Err(error) if is_gone(&error) && !away.exists() => return Ok(Withdrawn::No),
        Err(error) if !is_gone(&error) => return Err(error),
        _ => {}
    }
    let is_expected = look(&away)?.is_some_and(|found| expected(&found));
    if !is_expected && std::fs::hard_link(&away, path).is_err() && !path.exists() {
        // Without hard links, a rename may replace a lock that a third process made in the meantime.
        std::fs::rename(&away, path)?;
        return Ok(Withdrawn::No);
    }
    // At once, so that a holder with a cached name learns of it from the server.
    std::fs::remove_file(&away)?;
    Ok(if is_expected { Withdrawn::Yes } else { Withdrawn::No })
}
