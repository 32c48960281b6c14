//! A real uv over a lens over a local index.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use pyti_index::{Index, Lens, View};
use pyti_model::plan::Interpreter;
use pyti_resolve::explain::{Explanation, explain};
use pyti_resolve::uv::{Compile, compile};

use super::{Server, index};

pub(crate) fn tools() -> Option<(PathBuf, Interpreter)> {
    let found = pyti_resolve::interpreters::find(&|name| std::env::var(name).ok());
    Some((
        super::uv::uv()?,
        pyti_resolve::interpreters::choose(&found, None).ok()?,
    ))
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) index: Index,
    pub(crate) lens: Arc<Lens>,
    pub(crate) port: u16,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) uv: PathBuf,
    pub(crate) python: Interpreter,
}

/// What uv shall do beside the plain.
#[derive(Default)]
pub(crate) struct Extra<'a> {
    pub(crate) constraints: &'a [&'a str],
    pub(crate) pre: bool,
    pub(crate) exclude_newer: Option<&'a str>,
    /// Added to the environment that the command has.
    pub(crate) env: &'a [(&'a str, &'a str)],
}

impl World {
    /// `None`, said loudly, where there is no interpreter or no uv.
    pub(crate) async fn open() -> Option<Self> {
        if let Some(tools) = tokio::task::spawn_blocking(tools).await.unwrap() {
            return Some(Self::new(tools).await);
        }
        eprintln!("SKIPPED: no CPython here, or no uv on PATH and pip could not fetch it");
        None
    }

    pub(crate) async fn new((uv, python): (PathBuf, Interpreter)) -> Self {
        let (server, dir) = (Server::start().await, tempfile::tempdir().unwrap());
        let index = index(&server.url(), dir.path());
        let lens = Lens::new(index.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(lens.clone().serve(listener));
        Self {
            server,
            index,
            lens,
            port,
            dir,
            uv,
            python,
        }
    }

    pub(crate) fn view(&self) -> View {
        View::new(self.python.clone())
    }

    /// The lock, or the explanation of why there is none.
    pub(crate) async fn lock_with(
        &self,
        path: &str,
        lines: &[&str],
        extra: &Extra<'_>,
    ) -> Result<String, Explanation> {
        let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let requirements = owned(lines);
        let command = compile(&Compile {
            uv: self.uv.to_str().unwrap(),
            python: &self.python.executable,
            index_url: &format!("http://127.0.0.1:{}{path}", self.port),
            requirements: &requirements,
            constraints: &owned(extra.constraints),
            pre: extra.pre,
            exclude_newer: extra.exclude_newer,
        })
        .unwrap();
        // the box has a place of its own for files; here they lie in the test's folder
        let place = self.dir.path().join("files");
        std::fs::create_dir_all(&place).unwrap();
        let moved = |text: &str| text.replace("/tmp/pyti-uv", place.to_str().unwrap());
        for (path, content) in &command.files {
            std::fs::write(moved(path), content).unwrap();
        }
        let mut child = tokio::process::Command::new(&command.argv[0]);
        child
            .args(command.argv[1..].iter().map(|word| moved(word)))
            .env_clear()
            .envs(command.env.iter().cloned())
            .env("HOME", self.dir.path())
            .envs(extra.env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, &command.stdin)
            .await
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(explain(&output.stderr, &requirements))
        }
    }

    pub(crate) async fn lock(&self, path: &str, lines: &[&str]) -> Result<String, Explanation> {
        self.lock_with(path, lines, &Extra::default()).await
    }

    pub(crate) async fn fails(&self, lines: &[&str]) -> Explanation {
        let path = self.lens.open_view(self.view());
        self.lock(&path, lines).await.unwrap_err()
    }
}

pub(crate) fn has(lock: &str, name: &str, version: &str) -> bool {
    lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\""))
}
