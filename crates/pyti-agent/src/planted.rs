//! What lies in the boxes of a job to be found: decoys, a machine that looks lived in, and certificates for the network
//! that is simulated.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyti_box::protocol::{CACHE, SOURCE, VENV};
use pyti_decoy::{Decoys, Needles, Persona};
use pyti_model::event::Event;
use pyti_model::trace::{Decoy, DecoyPlace};
use pyti_sandbox::sink::{Allow, Authority, BUNDLE_PLACES, Credentials, Simulation, trust_variables};
use pyti_sandbox::{Bind, Boxes, Command, Layer, Lower};
use sha2::{Digest as _, Sha256};

use crate::commands;
use crate::events::Events;

/// The user of every box; environments are made for its home.
const USER: &str = "dev";
/// Where the certificates lie in the agent's root.
const BUNDLE: &str = "/tmp/certificates.pem";
/// Most bytes of the machine's own certificates.
const BUNDLE_CAP: u64 = 4 << 20;
/// A host name that is shorter is found by chance.
const TELLING_NAME: usize = 8;

/// Everything that was put into the boxes of one job.
pub(crate) struct Planted {
    pub(crate) decoys: Vec<Decoy>,
    pub(crate) needles: Needles,
    /// Paths that are listed whatever is done with them.
    pub(crate) watched: Vec<PathBuf>,
    pub(crate) simulation: Arc<Simulation>,
    layer: Layer,
    variables: Vec<(String, String)>,
    host: String,
    bundle_places: Vec<PathBuf>,
}

/// Decoys that are being made while the first tasks work: keys of real form take their time.
pub(crate) struct Planting {
    made: OnceLock<Result<Option<Planted>, String>>,
    making: Mutex<Option<JoinHandle<Result<Planted, PlantError>>>>,
    events: Arc<Events>,
}

impl Planting {
    /// Nothing is watched.
    pub(crate) fn none(events: Arc<Events>) -> Self {
        Self {
            made: OnceLock::from(Ok(None)),
            making: Mutex::new(None),
            events,
        }
    }

    /// Begins.
    pub(crate) fn start(
        boxes: Boxes,
        index_host: Option<String>,
        allow: Vec<Allow>,
        events: Arc<Events>,
    ) -> Result<Self, io::Error> {
        let making = std::thread::Builder::new()
            .name("decoys".to_owned())
            .spawn(move || Planted::new(&boxes, index_host.as_deref(), allow))?;
        Ok(Self {
            made: OnceLock::new(),
            making: Mutex::new(Some(making)),
            events,
        })
    }

    /// What was made; tells the recording of it the first time.
    pub(crate) fn get(&self) -> Result<Option<&Planted>, String> {
        let made = self.made.get_or_init(|| {
            let making = self.making.lock().unwrap_or_else(PoisonError::into_inner).take();
            let made = match making.map(JoinHandle::join) {
                Some(Ok(Ok(planted))) => planted,
                Some(Ok(Err(error))) => return Err(pyti_model::with_causes(&error)),
                Some(Err(_)) | None => return Err("the decoys could not be made".to_owned()),
            };
            self.events.send(Event::Planted {
                decoys: made.decoys.clone(),
            });
            Ok(Some(made))
        });
        match made {
            Ok(made) => Ok(made.as_ref()),
            Err(why) => Err(why.clone()),
        }
    }
}

/// Why nothing could be planted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlantError {
    #[error("cannot plant decoys")]
    Files(#[from] io::Error),
    #[error("cannot plant decoys")]
    Layer(#[from] pyti_sandbox::BoxError),
    #[error("cannot simulate a network")]
    Sink(#[from] pyti_sandbox::sink::SinkError),
}

impl Planted {
    /// Makes decoys that nobody has seen before, and plants them.
    pub(crate) fn new(
        boxes: &Boxes,
        index_host: Option<&str>,
        allow: Vec<Allow>,
    ) -> Result<Self, PlantError> {
        let mut entropy = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut entropy)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or_default();
        let persona = Persona::suggest(&entropy);
        let mut made = Decoys::make(&entropy, USER, &persona.host, now, index_host);
        let watched = made
            .watched_paths()
            .into_iter()
            .map(|watched| PathBuf::from(watched.path))
            .chain([PathBuf::from(format!("/home/{USER}"))])
            .collect();
        if persona.host.len() >= TELLING_NAME && !made.decoys.iter().any(|d| d.family == "machine") {
            made.decoys.push(Decoy {
                id: "machine.host".to_owned(),
                family: "machine".to_owned(),
                place: DecoyPlace::File("/etc/hostname".to_owned()),
                secrets: vec![persona.host.clone()],
                commonly_read: true,
            });
        }
        let (credentials, of_cloud) = cloud(&entropy);
        made.decoys.extend(of_cloud);
        let authority = Arc::new(Authority::new()?);
        let mut system = Vec::new();
        let bundle_places: Vec<_> = BUNDLE_PLACES
            .iter()
            .map(PathBuf::from)
            .filter(|place| place.is_file())
            .collect();
        if let Some(place) = bundle_places.first() {
            File::open(place)?.take(BUNDLE_CAP).read_to_end(&mut system)?;
        }
        fs::write(
            BUNDLE,
            authority.bundle((!system.is_empty()).then_some(&system[..])),
        )?;
        Ok(Self {
            needles: Needles::new(&made.decoys),
            watched,
            simulation: Arc::new(Simulation {
                allow,
                credentials,
                ..Simulation::new(authority)
            }),
            layer: layer(boxes, &made)?,
            variables: made.variables,
            host: persona.host,
            decoys: made.decoys,
            bundle_places,
        })
    }

    /// Puts the lived-in machine into the box of a command.
    pub(crate) fn furnish(&self, command: &mut Command) {
        command.lowers.push(Lower::Layer(self.layer.clone()));
        command.host_name.clone_from(&self.host);
        command.watched.clone_from(&self.watched);
        for (name, value) in &self.variables {
            if !command.env.iter().any(|(known, _)| known == name.as_str()) {
                commands::set(command, name, value);
            }
        }
    }

    /// Lets the programs of a box believe the simulated network. `own_certificates` is a file of the environment that
    /// holds certificates of its own (certifi's).
    pub(crate) fn trust(&self, command: &mut Command, own_certificates: Option<&Path>) {
        let places = self.bundle_places.iter().map(PathBuf::as_path);
        for place in places.chain(own_certificates) {
            command.binds.push(Bind {
                source: PathBuf::from(BUNDLE),
                target: place.to_owned(),
                writable: false,
            });
        }
        let bundle = self
            .bundle_places
            .first()
            .map_or(BUNDLE.to_owned(), |place| place.display().to_string());
        if self.bundle_places.is_empty() {
            command.binds.push(commands::bind(BUNDLE));
        }
        for (name, value) in trust_variables(&bundle) {
            if !command.env.iter().any(|(known, _)| known == name) {
                commands::set(command, name, &value);
            }
        }
    }
}

/// What the metadata service of a cloud hands out, and the decoys that it is made of.
fn cloud(entropy: &[u8; 32]) -> (Credentials, Vec<Decoy>) {
    let random = |label: &str, length: usize| -> String {
        let (mut text, mut round) = (String::new(), 0_u8);
        while text.len() < length {
            let digest = Sha256::new()
                .chain_update(entropy)
                .chain_update(label)
                .chain_update([round])
                .finalize();
            text.extend(
                digest
                    .iter()
                    .map(|byte| char::from(LETTERS[usize::from(byte % 62)])),
            );
            round += 1;
        }
        text.truncate(length);
        text
    };
    let credentials = Credentials {
        aws_role: "app-server".to_owned(),
        aws_access_key_id: format!("ASIA{}", random("aws id", 16).to_ascii_uppercase()),
        aws_secret_access_key: random("aws secret", 40),
        aws_session_token: random("aws session", 280),
        google_account: "default@app-server.iam.gserviceaccount.example".to_owned(),
        google_token: format!("ya29.c.{}", random("google", 180)),
        azure_token: format!("eyJ0eXAiOiJKV1Qi.{}", random("azure", 240)),
    };
    let decoy = |id: &str, secrets: Vec<String>| Decoy {
        id: id.to_owned(),
        family: "cloud".to_owned(),
        place: DecoyPlace::File("http://169.254.169.254/".to_owned()),
        secrets,
        commonly_read: true,
    };
    let decoys = vec![
        decoy(
            "metadata.aws",
            vec![
                credentials.aws_secret_access_key.clone(),
                credentials.aws_session_token.clone(),
            ],
        ),
        decoy("metadata.google", vec![credentials.google_token.clone()]),
        decoy("metadata.azure", vec![credentials.azure_token.clone()]),
    ];
    (credentials, decoys)
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn layer(boxes: &Boxes, made: &Decoys) -> Result<Layer, PlantError> {
    let planted = || made.files.iter().chain(&made.machine.files);
    let files: Vec<_> = planted()
        .map(|file| (PathBuf::from(&file.path), file.bytes.clone(), file.mode))
        .collect();
    let layer = boxes.layer_of(&files)?;
    let inside = |path: &str| layer.path().join(path.trim_start_matches('/'));
    for folder in &made.folders {
        let place = inside(&folder.path);
        fs::create_dir_all(&place)?;
        fs::set_permissions(&place, Permissions::from_mode(folder.mode))?;
    }
    for file in planted() {
        let age = Duration::from_secs(u64::try_from(file.modified).unwrap_or_default());
        // opened for reading: a read-only file's times can be set by its owner all the same
        File::open(inside(&file.path))?.set_times(FileTimes::new().set_modified(UNIX_EPOCH + age))?;
    }
    Ok(layer)
}

/// Where certifi keeps its certificates in an environment.
pub(crate) fn certifi(site_packages: &str) -> PathBuf {
    Path::new(site_packages).join("certifi/cacert.pem")
}

/// Where an installer is at home: the environment, what it unpacks for itself, the file that it is given. Nothing of the
/// package runs meanwhile.
pub(crate) fn installed_into() -> Vec<PathBuf> {
    [VENV, "/tmp", CACHE].map(PathBuf::from).to_vec()
}

/// Where builds put what they make, thousands of files for a big distribution.
pub(crate) fn build_output() -> Vec<PathBuf> {
    vec![
        PathBuf::from(SOURCE).join("build"),
        PathBuf::from(crate::tasks::build::OUT),
    ]
}

/// Folders of environments: what is usual there is only counted.
pub(crate) fn environments() -> Vec<PathBuf> {
    vec![PathBuf::from(VENV)]
}
