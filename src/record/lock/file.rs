//! What is done to a lock file. Every step is one that two machines cannot both succeed in.

use super::Owner;
use fathom_base::make_readable;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Whether a lock was moved away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    Yes,
    /// It was another one by then, which stays.
    No,
}

/// What stands in the file; nothing where there is none. It is opened anew every time, which is
/// what makes a network file system ask its server.
pub(super) fn look(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        // A handle grows stale when another machine replaced the file since its name was read.
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESTALE)
}

/// Makes the lock where there is none; tells whether it did.
pub(super) fn place(path: &Path, owner: &Owner) -> io::Result<bool> {
    place_by(path, owner, |temporary, path| std::fs::hard_link(temporary, path))
}

/// The same by a given way of linking.
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
        // Also when the link was made and the answer lost, and the request sent again.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(ours()),
        // No links here, or another trouble, which then shows again.
        Err(_) => create(path, owner),
    }
}

/// Exclusive creation: others may see the file before it is written, and watch it meanwhile.
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

/// Writes the new counter into the file if it has the owner's token; tells whether it had. The
/// bytes go into the very file that was read and never make a name: a lock that was taken over
/// between the two is not brought back.
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
    // As long as before, so that nothing need be allocated and nothing cut off.
    file.write_all_at(&owner.bytes(), 0)?;
    file.sync_all()?;
    Ok(true)
}

/// Removes the lock if it is the expected one.
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

/// Moves whatever is there to a name of this process (by its `token`), and back if it is not the
/// expected one.
pub(super) fn move_away(
    path: &Path,
    token: &str,
    expected: impl Fn(&[u8]) -> bool,
) -> io::Result<Withdrawn> {
    let mut away = path.as_os_str().to_owned();
    away.push(format!(".stale.{token}"));
    let away = PathBuf::from(away);
    match std::fs::rename(path, &away) {
        // Somebody else was faster, unless it is only the answer that was lost.
        Err(error) if is_gone(&error) && !away.exists() => return Ok(Withdrawn::No),
        Err(error) if !is_gone(&error) => return Err(error),
        _ => {}
    }
    let is_expected = look(&away)?.is_some_and(|found| expected(&found));
    if !is_expected && std::fs::hard_link(&away, path).is_err() && !path.exists() {
        // No links here: a rename could hit what a third made meanwhile, but there is no better.
        std::fs::rename(&away, path)?;
        return Ok(Withdrawn::No);
    }
    // At once: a holder whose cached name still leads here is then told by its server.
    std::fs::remove_file(&away)?;
    Ok(if is_expected { Withdrawn::Yes } else { Withdrawn::No })
}
