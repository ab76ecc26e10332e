//! Downloading official files from mirrors, with resumption of partial downloads and verification of the
//! published sums.

use super::catalogue::{Download, Set};
use super::files::{create_folder, is_html};
use super::install::import;
use super::locate::Home;
use super::verify;
use anyhow::{Context, Result, bail, ensure};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Callback for progress: name of the file, bytes received, and total bytes if known.
pub type Progress<'a> = &'a dyn Fn(&str, u64, Option<u64>);

/// Limit in bytes for files without a published size.
const LARGEST: u64 = 1 << 30;

/// Downloads `set` into its folder in `target`, from the address `from` if given, otherwise from the
/// mirrors of the catalogue. Returns the folder. A set that is already there and right is not downloaded.
///
/// # Errors
/// When no mirror has a file with the published sums; the message names each mirror and its error.
pub fn fetch(
    set: &'static Set,
    target: &Path,
    from: Option<&str>,
    progress: Progress,
) -> Result<PathBuf> {
    let bases: Vec<&str> = from.map_or(set.bases.to_vec(), |base| vec![base]);
    let is_right = |home: &Home| home.missing().is_empty() && verify::ensure_right(home).is_ok();
    if let Some(home) = Home::candidates(set, target).into_iter().find(is_right) {
        return Ok(home.folder);
    }
    let folder = target.join(set.versions[0].folders[0]);
    create_folder(&folder)?;
    for file in set.downloads {
        let whole = folder.join(file.name);
        if whole.is_file() && check_sums(file, &whole).is_ok() {
            continue;
        }
        let path = download(file, &bases, &folder, progress)?;
        if file.name.ends_with(".tar.gz") {
            import(&path, target)?;
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(folder)
}

/// Downloads one file into `folder`. It has the name `NAME.part` until its sums are verified.
///
/// # Errors
/// The errors of [`fetch`]. A partial file is kept unless its sums are wrong, and the next call resumes it.
pub fn download(
    file: &Download,
    bases: &[&str],
    folder: &Path,
    progress: Progress,
) -> Result<PathBuf> {
    let part = folder.join(format!("{}.part", file.name));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into();
    let mut failures = Vec::new();
    for base in bases {
        let url = format!("{}/{}", base.trim_end_matches('/'), file.name);
        let attempt = transfer(&agent, &url, file, &part, progress);
        match attempt.and_then(|()| accept(file, &part)) {
            Ok(()) => {
                let whole = folder.join(file.name);
                std::fs::rename(&part, &whole)
                    .with_context(|| format!("cannot write {}", whole.display()))?;
                return Ok(whole);
            }
            Err(error) => failures.push(format!("\n  {url}: {error:#}")),
        }
    }
    let hint = if length(&part) > 0 { "\n  the same command resumes the download" } else { "" };
    bail!("{} could not be downloaded:{}{hint}", file.name, failures.concat())
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |about| about.len())
}

/// Appends the missing bytes to `part`. If the existing bytes are not the beginning of the file, the
/// whole file is requested.
fn transfer(
    agent: &ureq::Agent,
    url: &str,
    file: &Download,
    part: &Path,
    progress: Progress,
) -> Result<()> {
    let begun = length(part);
    if begun > 0 && file.size.is_none_or(|size| size == begun) && check_sums(file, part).is_ok() {
        return Ok(());
    }
    if begun > 0 && file.size.is_none_or(|size| begun < size) {
        let continued = receive(agent, url, file, part, begun, progress);
        // After another status, which may be a fault of the mirror, the existing bytes are kept.
        if continued? && check_sums(file, part).is_ok() {
            return Ok(());
        }
    }
    receive(agent, url, file, part, 0, progress)?;
    Ok(())
}

/// Requests the bytes from offset `begun` and writes them; false if the server has none there.
fn receive(
    agent: &ureq::Agent,
    url: &str,
    file: &Download,
    part: &Path,
    begun: u64,
    progress: Progress,
) -> Result<bool> {
    // A `.gz` must not be decompressed during the transfer.
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if begun > 0 {
        request = request.header("Range", format!("bytes={begun}-"));
    }
    let response = request.call()?;
    let status = response.status().as_u16();
    let start = match status {
        200 => 0,
        206 => {
            let range = response.headers().get("Content-Range").and_then(|r| r.to_str().ok());
            let expected = format!("bytes {begun}-");
            ensure!(
                begun > 0 && range.is_some_and(|range| range.starts_with(&expected)),
                "the server sends another range than requested"
            );
            begun
        }
        416 if begun > 0 => return Ok(false),
        _ => bail!("the server responds with status {status}"),
    };
    let mut body = response.into_body().into_reader();
    let mut head = Vec::new();
    (&mut body).take(512).read_to_end(&mut head).with_context(|| ended(start, file.size))?;
    ensure!(
        start > 0 || !is_html(&head),
        "the server sends an HTML page instead of the file, such as one for signing in or of an error; a \
         browser shows it"
    );
    let writing = || format!("cannot write {}", part.display());
    let mut out = OpenOptions::new()
        .create(true)
        .write(true)
        .append(start > 0)
        .truncate(start == 0)
        .open(part)
        .with_context(writing)?;
    let most = file.size.unwrap_or(LARGEST);
    let mut body = head.as_slice().chain(body);
    let mut piece = vec![0; 1 << 16];
    let mut done = start;
    loop {
        let received = body.read(&mut piece).with_context(|| ended(done, file.size))?;
        if received == 0 {
            break;
        }
        done += received as u64;
        if done > most {
            drop(out);
            std::fs::remove_file(part).with_context(writing)?;
            bail!("the server sends more than the expected {most} bytes");
        }
        out.write_all(&piece[..received]).with_context(writing)?;
        progress(file.name, done, file.size);
    }
    out.sync_all().with_context(writing)?;
    ensure!(file.size.is_none_or(|size| done == size), ended(done, file.size));
    Ok(true)
}

fn ended(done: u64, size: Option<u64>) -> String {
    match size {
        Some(size) => format!("the connection ended after {done} of {size} bytes"),
        None => format!("the connection ended after {done} bytes"),
    }
}

/// Verifies a complete part, and removes it if it is wrong.
fn accept(file: &Download, part: &Path) -> Result<()> {
    let outcome = check_sums(file, part);
    if outcome.is_err() {
        std::fs::remove_file(part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    outcome
}

fn check_sums(file: &Download, path: &Path) -> Result<()> {
    let reading = || format!("cannot read {}", path.display());
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut opened = File::open(path).with_context(reading)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        let read = opened.read(&mut piece).with_context(reading)?;
        if read == 0 {
            break;
        }
        md5.update(&piece[..read]);
        if file.sha256.is_some() {
            sha256.update(&piece[..read]);
        }
    }
    let found = hex::encode(md5.finalize());
    ensure!(found == file.md5, "the MD5 is {found}, but the published one is {}", file.md5);
    if let Some(expected) = file.sha256 {
        let found = hex::encode(sha256.finalize());
        ensure!(found == expected, "the SHA-256 is {found}, but the published one is {expected}");
    }
    Ok(())
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
