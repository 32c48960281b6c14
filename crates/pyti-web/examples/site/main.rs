//! The pages over a store that is filled from runs of the command line, to look at them and to work on them.
//!
//! `cargo run -p pyti-web --example site -- fill DATA RUNS…` puts every run below the folders into a store, as a controller would;
//! `… -- serve DATA 127.0.0.1:8000` shows it. Restart to see a change of a template.

#![expect(clippy::print_stdout, reason = "a tool for who works on the pages")]

mod fill;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fill::{Fallible, Piece};
use pyti_dispatch::WorkerId;
use pyti_model::event::Event;
use pyti_store::{Env, Expansion, FileInfo, Options, Store};
use pyti_web::{Limits, Render, Settings, Site, read_recording};

/// Most bytes of a recording.
const MOST: u64 = 32 << 20;

fn read(path: &Path) -> Fallible<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Something that sorts as simple versions do; the service has a better one.
fn sort_key(version: &str) -> Vec<u8> {
    let numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty());
    numbers
        .flat_map(|part| part.parse::<u32>().unwrap_or(0).to_be_bytes())
        .collect()
}

fn runs(folder: &Path) -> Fallible<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("run.json").is_file() {
            all.push(path);
        }
    }
    all.sort_by_key(|path| {
        std::fs::metadata(path.join("run.json"))
            .and_then(|m| m.modified())
            .ok()
    });
    Ok(all)
}

fn put_run(store: &Store, who: &WorkerId, request: &mut u64, run: &Path, now_ms: u64) -> Fallible<usize> {
    let text: serde_json::Value = serde_json::from_slice(&read(&run.join("run.json"))?)?;
    let python = text["python"].as_str().unwrap_or("3.13").to_owned();
    let mut put = 0;
    for name in text["recordings"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if name.contains('/') {
            continue;
        }
        let recording = read(&run.join(name))?;
        let events = read_recording(&*recording, &Limits::default())?;
        let file = events.iter().find_map(|envelope| match &envelope.event {
            Event::Began { plan, .. } => Some(plan.target.clone()),
            _ => None,
        });
        let Some(file) = file else { continue };
        let baseline = text["baselines"][name]
            .as_str()
            .filter(|name| !name.contains('/'));
        let baseline = baseline.map(|name| read(&run.join(name))).transpose()?;
        let version = file.version.clone();
        *request += 1;
        let piece = Piece {
            file: FileInfo {
                project: file.project.clone(),
                sort_key: sort_key(&version),
                version,
                name: file.filename.clone(),
                sha256: file.sha256.clone(),
                size: file.size,
                kind: file.kind,
                uploaded_ms: now_ms - 3_600_000 * 30 + *request * 60_000,
            },
            env: Env {
                platform: "linux/x86_64".to_owned(),
                interpreter: format!("cpython-{python}"),
                isolation: "sandbox".to_owned(),
                options: String::new(),
            },
            generation: u32::try_from(*request)?,
            finished_ms: now_ms - 3_600_000 * 23 + *request * 300_000,
            recording,
            baseline,
        };
        fill::put(store, who, *request, piece)?;
        put += 1;
    }
    Ok(put)
}

fn fill_all(data: &Path, folders: &[String]) -> Fallible<()> {
    let store = Store::open(data, Options::default())?;
    let interpreters = [
        "cpython-3.13",
        "cpython-3.12",
        "cpython-3.11",
        "cpython-3.10",
        "cpython-3.9",
        "cpython-3.8",
    ];
    let who = fill::enrol(&store, "north-1", &interpreters)?;
    fill::enrol(&store, "north-2", &interpreters[..2])?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now_ms = u64::try_from(since.as_millis())?;
    let (mut request, mut put) = (0, 0);
    let mut last = None;
    for folder in folders {
        for run in runs(Path::new(folder))? {
            match put_run(&store, &who, &mut request, &run, now_ms) {
                Ok(n) => put += n,
                Err(error) => println!("{}: {error}", run.display()),
            }
        }
    }
    // some that wait
    for row in store.latest(None, 5)? {
        if let Some(file) = store.file(row.file_id)? {
            last = Some(file.info.clone());
            store.expand(Expansion {
                jobs: vec![fill::job(&file.info, &row.env, 1_000_000, row.id % 2 == 0)?],
                ..Expansion::default()
            })?;
        }
    }
    println!("{put} results; the last is of {:?}", last.map(|file| file.name));
    Ok(())
}

fn serve(data: &Path, address: &str) -> Fallible<()> {
    let store = Store::open(data, Options::default())?;
    let program = std::env::current_exe()?;
    let render = Render::Child {
        program,
        arguments: vec!["__page".to_owned()],
    };
    let site = Site::new(store, Settings::new(render));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("http://{}", listener.local_addr()?);
        axum::serve(listener, pyti_web::router(site)).await?;
        Ok(())
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["__page"] => return pyti_web::page_main(),
        ["fill", data, ..] => fill_all(Path::new(data), &arguments[2..]),
        ["serve", data, address] => serve(Path::new(data), address),
        _ => Err("fill DATA RUNS… or serve DATA ADDRESS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
