//! Files that are written completely or not at all.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

/// Writes `bytes` to a temporary file in the folder of `path`, syncs it and renames it to `path`.
///
/// # Errors
/// When the file cannot be written, naming it; an existing file at `path` is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_after(path, bytes, || Ok(()))
}

/// [`write_atomically`] with a check before the rename, such as whether a lock is still held.
///
/// # Errors
/// The errors of [`write_atomically`] and of `check`.
pub fn write_after(path: &Path, bytes: &[u8], check: impl FnOnce() -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let context = || format!("cannot write {}", path.display());
    let write = || -> std::io::Result<tempfile::NamedTempFile> {
        let file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder);
        let mut file = file.map_err(|error| without_path(&error))?;
        file.as_file_mut().write_all(bytes)?;
        make_readable(&file)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = write().with_context(context)?;
    check()?;
    file.persist(path).map_err(|failure| failure.error).with_context(context)?;
    // The rename must survive a power failure as well.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
}

/// The error without the name of the temporary file, which nobody knows.
fn without_path(error: &std::io::Error) -> std::io::Error {
    let text = error.to_string();
    let cause = text.split(" at path ").next().unwrap_or_default();
    std::io::Error::new(error.kind(), cause)
}

/// Sets the permissions of a new file by the umask; temporary files are readable by their owner only.
///
/// # Errors
/// When the permissions cannot be set.
pub fn make_readable(file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o666 & !umask()))
}

/// The umask of this process, which only the kernel tells without changing it for all threads; 077 if it does not.
fn umask() -> u32 {
    static MASK: OnceLock<u32> = OnceLock::new();
    *MASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_rubbish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        use std::os::unix::fs::PermissionsExt;
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "as the umask says");
        std::fs::remove_file(plain).unwrap();
        let missing = folder.path().join("absent/status.json");
        let message = write_atomically(&missing, b"x").unwrap_err().to_string();
        assert!(message.contains("absent/status.json"), "{message}");
        let whole = format!("{:#}", write_atomically(&missing, b"x").unwrap_err());
        assert!(
            whole.ends_with("absent/status.json: No such file or directory (os error 2)"),
            "{whole}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
