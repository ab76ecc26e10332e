//! `fathom data`: data sets on disk.

use super::choice::choice;
use super::table::{Format, Table};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use fathom_data::catalogue::{SETS, Set};
use fathom_data::content_hash::HashedImages;
use fathom_data::locate::{Found, find, image_folder, locate, target_folder};
use fathom_data::verify::{Verdict, verify};
use fathom_data::{self as data, Request, Source, contact, fetch, install, stored, subset};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Find, fetch, check and look at data sets
#[derive(clap::Args)]
pub struct Args {
    /// Where data sets lie and are put [default: $XDG_CACHE_HOME/fathom or ~/.cache/fathom]
    #[arg(long, value_name = "DIR", env = "FATHOM_DATA", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Which sets there are, and where they were found
    List {
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Download sets from their official places; goes on with what was begun
    Fetch {
        /// Sets to download
        #[arg(required = true, value_parser = choice::<Source>())]
        sets: Vec<Source>,
        /// Download from here instead: the file's name is appended
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// Take in files that you have: cifar-10-binary.tar.gz, cifar-100-binary.tar.gz, *-ubyte.gz, or
    /// mosaics of CIFAR-10's files (data_batch_1.webp beside data_batch_1.labels: 10,000 images as
    /// one lossless picture)
    Import {
        /// Files to take in
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Check sets against the published sums, and their images and labels
    Verify {
        /// Sets to check [default: those that are here]
        #[arg(value_parser = choice::<Source>())]
        sets: Vec<Source>,
        /// The folder of `images`
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a contact sheet: some images of every class
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct ShowArgs {
    /// Set to look at
    #[arg(value_parser = choice::<Source>())]
    set: Source,
    /// PNG file to write [default: SET.png]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The folder of `images`
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Images of each class
    #[arg(long, value_name = "N", default_value_t = 10)]
    per_class: usize,
    /// Show test images instead of training images
    #[arg(long)]
    test: bool,
    /// Resize to N rows and columns, as an experiment would
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    size: Option<u16>,
    /// Draw `shapes` in colour
    #[arg(long)]
    colour: bool,
}

/// The official files of a data set that has such.
fn official(source: Source) -> Result<&'static Set> {
    match Set::of(source) {
        Some(set) => Ok(set),
        None if source == Source::Shapes => bail!("shapes are built in: there are no files"),
        None => bail!("images are a folder of your own: there are no official files"),
    }
}

/// Runs `fathom data`.
///
/// # Errors
/// As the actions themselves: what is missing, damaged or cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let data_dir = args.data_dir.as_deref();
    match &args.action {
        Action::List { format } => list(data_dir, *format)?,
        Action::Fetch { sets, from } => fetch_sets(sets, from.as_deref(), data_dir)?,
        Action::Import { files } => {
            let target = target_folder(data_dir)?;
            for file in files {
                let (set, path) = install::import(file, &target)?;
                println!("{}: {}", set.name, path.display());
            }
        }
        Action::Verify { sets, path, format } => {
            return verify_sets(sets, path.as_deref(), data_dir, *format);
        }
        Action::Show(show) => write_sheet(show, data_dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(data_dir: Option<&Path>, format: Format) -> Result<()> {
    let mut table = Table::new(["set", "train", "test", "classes", "state", "folder"]);
    let word = |text: &str| Value::from(text);
    table.row([word("shapes"), Value::Null, Value::Null, 10.into(), word("built in"), Value::Null]);
    for set in &SETS {
        let (state, at) = match find(set, data_dir) {
            Found::Whole(at) => ("here".to_owned(), at.display().to_string().into()),
            Found::Part(at, missing) => {
                (format!("lacks {}", missing.join(", ")), at.display().to_string().into())
            }
            Found::Nothing => (format!("fathom data fetch {}", set.name), Value::Null),
        };
        let counts = [set.count(true), set.count(false), set.classes.len()].map(Value::from);
        let [train, test, classes] = counts;
        table.row([word(set.name), train, test, classes, state.into(), at]);
    }
    table.print(format)
}

/// A bar on a terminal; one line per file elsewhere.
fn fetch_sets(sets: &[Source], from: Option<&str>, data_dir: Option<&Path>) -> Result<()> {
    let target = target_folder(data_dir)?;
    let sets = sets.iter().map(|name| official(*name)).collect::<Result<Vec<_>>>()?;
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::hidden();
    let style = "{prefix:>28} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}";
    bar.set_style(ProgressStyle::with_template(style)?);
    if terminal {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    let current = RefCell::new(String::new());
    let watch = |name: &str, done: u64, total: Option<u64>| {
        if *current.borrow() != name {
            name.clone_into(&mut current.borrow_mut());
            bar.set_prefix(name.to_owned());
            if !terminal {
                eprintln!("downloading {name}");
            }
        }
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    };
    for set in sets {
        let outcome = fetch::fetch(set, &target, from, &watch);
        current.borrow_mut().clear();
        let folder = outcome.inspect_err(|_| bar.finish_and_clear())?;
        println!("{}: {}", set.name, folder.display());
    }
    bar.finish_and_clear();
    Ok(())
}

fn verify_sets(
    names: &[Source],
    path: Option<&Path>,
    data_dir: Option<&Path>,
    format: Format,
) -> Result<ExitCode> {
    let mut table = Table::new(["set", "file", "verdict", "detail"]);
    let mut right = true;
    let mut sets = Vec::new();
    for name in names {
        match name {
            Source::Images => table.row(verify_images(path, data_dir)?),
            name => sets.push((official(*name)?, locate(official(*name)?, data_dir)?)),
        }
    }
    if names.is_empty() {
        for set in &SETS {
            match find(set, data_dir) {
                Found::Whole(folder) => sets.push((set, folder)),
                Found::Part(folder, missing) => {
                    right = false;
                    let (folder, missing) = (folder.display().to_string(), missing.join(", "));
                    let detail = format!("lacks {missing}");
                    table.row([set.name.into(), folder.into(), "wrong".into(), detail.into()]);
                }
                Found::Nothing => {}
            }
        }
    }
    for (set, folder) in sets {
        for check in verify(set, &folder)? {
            let (verdict, detail) = match check.verdict {
                Verdict::Published => ("right", "the published sum".to_owned()),
                Verdict::ContentsRight => {
                    let detail = "not the published sum, but pixels and labels are right";
                    ("right", detail.to_owned())
                }
                Verdict::Unclear(reason) => {
                    right = false;
                    ("unclear", reason)
                }
                Verdict::Wrong(reason) => {
                    right = false;
                    ("wrong", reason)
                }
            };
            let file = check.path.display().to_string();
            table.row([set.name.into(), file.into(), verdict.into(), Value::from(detail)]);
        }
    }
    if table.rows.is_empty() {
        eprintln!("no set is here; `fathom data list` says how to get one");
    }
    table.print(format)?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Decodes every file, and keeps nothing.
fn verify_images(path: Option<&Path>, data_dir: Option<&Path>) -> Result<[Value; 4]> {
    let root = image_folder(path.context("--path DIR says where the images are")?, data_dir)?;
    let whole = stored::read(&root, Some(1), None)?;
    let detail = format!(
        "{} training and {} test images of {} classes can be read",
        whole.train.images.len(),
        whole.test.images.len(),
        whole.classes.len()
    );
    let detail = [vec![detail], whole.notes].concat().join("; ");
    Ok(["images".into(), root.display().to_string().into(), "right".into(), detail.into()])
}

fn write_sheet(show: &ShowArgs, data_dir: Option<&Path>) -> Result<()> {
    let size = show.size.map(usize::from);
    let mut request = Request {
        short_side: None,
        source: show.set,
        train: None,
        test: None,
        validation: 0,
        size,
        colour: show.colour,
        path: show.path.clone(),
    };
    let (classes, images) = if show.set == Source::Shapes {
        let count = Some((show.per_class * 10).max(1));
        (request.train, request.test) = (count, count);
        let set = data::load(&request, data_dir)?;
        let part = if show.test { &set.test } else { &set.train };
        let images = part.in_memory().context("shapes are drawn in memory")?;
        (set.classes, HashedImages::new(images.clone()))
    } else {
        let set = data::read_full(&request, data_dir)?;
        (set.classes, if show.test { set.test } else { set.train })
    };
    let mut rows = subset::some_of_each(&images, classes.len(), show.per_class);
    if let Some(size) = size {
        rows = rows.into_iter().map(|row| data::resize(row, size)).collect();
    }
    let sheet = contact::sheet(&classes, &rows);
    let mut png = std::io::Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png)?;
    let name = show.set.word();
    let out = show.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.png")));
    fathom_base::write_atomically(&out, &png.into_inner())?;
    println!("{}", out.display());
    Ok(())
}
