use super::*;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Behaviour of the test server.
#[derive(Clone, Copy)]
enum Manner {
    /// Serves ranges.
    Good,
    /// Ignores ranges and sends the whole file.
    NoRanges,
    /// Promises the whole file, then closes the connection after so many bytes.
    HangsUpAfter(usize),
    /// Has no file.
    NotFound,
    /// Sends zeros.
    Zeros,
    /// Sends more bytes than the file has.
    TooMuch,
    /// Sends a page, as a portal does.
    Page,
}

struct Server {
    base: String,
    /// The header `Range` of every request, in order.
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

fn contents() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect()
}

fn file() -> Download {
    let sum: String = hex::encode(Md5::digest(contents()));
    Download { name: "set.bin", size: Some(200_000), md5: sum.leak(), sha256: None }
}

fn serve(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/data/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    // The thread ends with the process of the test.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, manner, &log);
        }
    });
    Server { base, asked }
}

fn answer(
    mut stream: TcpStream,
    manner: Manner,
    log: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if let Some(value) = line.to_lowercase().strip_prefix("range: ") {
            range = Some(value.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(range.clone());
    let mut body = contents();
    let (mut status, mut extra) = ("200 OK", String::new());
    match manner {
        Manner::Page => body = b"<!DOCTYPE html><html>Sign in</html>".to_vec(),
        Manner::NotFound => (status, body) = ("404 Not Found", Vec::new()),
        Manner::Zeros => body.fill(0),
        Manner::TooMuch => body.extend([0; 100]),
        Manner::Good | Manner::HangsUpAfter(_) => {
            if let Some(start) = range.as_deref().and_then(|r| r.strip_prefix("bytes=")) {
                let start: usize = start.trim_end_matches('-').parse().unwrap();
                status = "206 Partial Content";
                extra = format!("Content-Range: bytes {start}-199999/200000\r\n");
                body.drain(..start);
            }
        }
        Manner::NoRanges => {}
    }
    let length = body.len();
    if let Manner::HangsUpAfter(bytes) = manner {
        body.truncate(bytes);
    }
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{extra}")?;
    write!(stream, "Connection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn get(servers: &[&Server], folder: &Path) -> Result<PathBuf> {
    let bases: Vec<&str> = servers.iter().map(|server| server.base.as_str()).collect();
    download(&file(), &bases, folder, &|_, _, _| {})
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_interrupted_download_is_resumed_with_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let broken = serve(Manner::HangsUpAfter(70_000));
    let message = format!("{:#}", get(&[&broken], folder.path()).unwrap_err());
    assert!(message.contains("of 200000 bytes"), "{message}");
    assert!(message.contains("the same command resumes"), "{message}");
    assert_eq!(names(folder.path()), ["set.bin.part"]);
    let begun = length(&folder.path().join("set.bin.part"));
    assert!(begun > 0 && begun <= 70_000, "{begun}");

    let good = serve(Manner::Good);
    let path = get(&[&good], folder.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), contents());
    assert_eq!(*good.asked.lock().unwrap(), [Some(format!("bytes={begun}-"))]);
    assert_eq!(names(folder.path()), ["set.bin"]);
}

#[test]
fn mirrors_are_tried_in_order_and_resume_partial_downloads_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let servers = [
        serve(Manner::NotFound),
        serve(Manner::HangsUpAfter(50_000)),
        serve(Manner::NoRanges),
        serve(Manner::NotFound),
    ];
    get(&servers.each_ref()[..], folder.path()).unwrap();
    assert_eq!(names(folder.path()), ["set.bin"]);
    assert!(servers[2].asked.lock().unwrap()[0].is_some());
    assert!(servers[3].asked.lock().unwrap().is_empty());
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    for (manner, reason) in [
        (Manner::Zeros, "but the published one is"),
        (Manner::TooMuch, "more than the expected 200000"),
        (Manner::Page, "sends an HTML page instead of the file"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let message = format!("{:#}", get(&[&serve(manner)], folder.path()).unwrap_err());
        assert!(message.contains(reason) && message.contains("/data/set.bin"), "{message}");
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

#[test]
fn a_page_does_not_replace_what_was_received_before() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("set.bin.part");
    std::fs::write(&part, &contents()[..70_000]).unwrap();
    let message = format!("{:#}", get(&[&serve(Manner::Page)], folder.path()).unwrap_err());
    assert!(message.contains("an HTML page"), "{message}");
    assert_eq!(length(&part), 70_000);
}

#[test]
fn a_part_that_is_not_the_beginning_of_the_file_is_replaced() {
    for wrong in [70_000, 200_000, 300_000] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("set.bin.part"), vec![9; wrong]).unwrap();
        let path = get(&[&serve(Manner::Good)], folder.path()).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), contents());
    }
}

#[test]
fn a_server_that_does_not_respond_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = download(&file(), &[&base], folder.path(), &|_, _, _| {});
    let message = format!("{:#}", outcome.unwrap_err());
    assert!(message.contains(&base), "{message}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_set_is_fetched_only_from_the_given_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(Manner::NotFound);
    let set = Set::named("mnist").unwrap();
    let outcome = fetch(set, folder.path(), Some(&server.base), &|_, _, _| {});
    let message = format!("{:#}", outcome.unwrap_err());
    assert!(message.contains("status 404") && !message.contains("amazonaws"), "{message}");
}
