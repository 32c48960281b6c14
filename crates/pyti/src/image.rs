//! `pyti image`: roots of other systems, for the sandbox and for virtual machines.

use anyhow::Context as _;
use pyti_model::plan::Interpreter;
use pyti_vm::image::build::{Wish, build};
use pyti_vm::image::{Image, Images, apt};
use pyti_worker::folders::Folders;

use crate::args::{ImageArgs, ImageBuildArgs, ImageCommand};
use crate::output::{Look, Usage, print, tell};
use crate::run::env;

/// The images of this user.
pub(crate) fn images() -> anyhow::Result<Images> {
    Ok(Images::new(Folders::find(&env)?.images()?))
}

/// Builds, lists, shows, removes, verifies.
pub(crate) fn image(args: ImageArgs, look: &Look) -> anyhow::Result<u8> {
    let images = images()?;
    match args.command {
        ImageCommand::Build(options) => {
            let image = built(&images, &options)?;
            print(&shown(&image))?;
        }
        ImageCommand::List { json } => {
            let all = images.list()?;
            if json {
                for image in &all {
                    print(&serde_json::to_string(&summary(image))?)?;
                }
            } else if all.is_empty() {
                print("there are no images; build one with: pyti image build NAME\n")?;
            } else {
                print(&all.iter().map(line).collect::<String>())?;
            }
        }
        ImageCommand::Show { name, json } => {
            let image = images.find(&name)?;
            print(&if json {
                format!("{}\n", serde_json::to_string_pretty(&summary(&image))?)
            } else {
                shown(&image)
            })?;
        }
        ImageCommand::Rm { names } => {
            for name in names {
                images.remove(&name)?;
            }
        }
        ImageCommand::Verify { name } => {
            let image = images.find(&name)?;
            let problems = image.verify();
            let (good, bad) = if look.report.ascii {
                ("ok", "FAILS")
            } else {
                ("✔", "✘")
            };
            for problem in &problems {
                print(&format!("{bad} {}: {}\n", problem.part, problem.what))?;
            }
            if problems.is_empty() {
                print(&format!(
                    "{good} {name} is what its manifest says ({})\n",
                    image.sha256
                ))?;
            }
            return Ok(u8::from(!problems.is_empty()));
        }
    }
    Ok(0)
}

fn built(images: &Images, options: &ImageBuildArgs) -> anyhow::Result<Image> {
    if !pyti_vm::image::is_name(&options.name) {
        return Err(Usage(format!(
            "{:?} is no name for an image: use small letters, digits, '.', '-' and '_'",
            options.name
        ))
        .into());
    }
    let release = apt::release(&options.release).ok_or_else(|| {
        let known: Vec<_> = apt::RELEASES.iter().map(|r| r.name).collect();
        Usage(format!(
            "--release {:?}: there are {}",
            options.release,
            known.join(", ")
        ))
    })?;
    let own = format!("3.{}", release.python);
    let mut interpreters: Vec<Interpreter> = Vec::new();
    for wanted in options.python.iter().filter(|wanted| **wanted != own) {
        let found = pyti_resolve::interpreters::find_cached(&env, &Folders::find(&env)?.interpreters()?);
        let chosen = pyti_resolve::interpreters::choose(&found, Some(wanted)).with_context(|| {
            format!(
                "{} has Python {own}; another one is taken from this machine",
                release.name
            )
        })?;
        if pyti_resolve::interpreters::prefixes(&chosen).is_empty() {
            return Err(Usage(format!(
                "--python {wanted}: the one of this machine lies in /usr and cannot be taken to another system; \
                 {} has Python {own}",
                release.name
            ))
            .into());
        }
        interpreters.push(chosen);
    }
    let wish = Wish {
        name: options.name.clone(),
        release,
        interpreters,
        with: options.with.clone(),
        mirror: options.mirror.clone(),
    };
    let quiet = options.quiet;
    Ok(build(images, &wish, &|what| {
        if !quiet {
            tell(what);
        }
    })?)
}

fn titles(image: &Image) -> String {
    let titles: Vec<_> = image
        .manifest
        .interpreters
        .iter()
        .map(Interpreter::title)
        .collect();
    titles.join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn line(image: &Image) -> String {
    format!(
        "{:<20} {} {}  {}  {:.0} MB  {}\n",
        image.name,
        image.manifest.distribution,
        image.manifest.release,
        titles(image),
        image.manifest.disk_bytes as f64 / 1e6,
        &image.sha256.as_str()[..12],
    )
}

fn shown(image: &Image) -> String {
    let manifest = &image.manifest;
    let mut text = line(image);
    text.push_str(&format!("sha256    {}\n", image.sha256));
    for interpreter in &manifest.interpreters {
        text.push_str(&format!(
            "python    {} {}\n",
            interpreter.version, interpreter.executable
        ));
    }
    if !manifest.with.is_empty() {
        text.push_str(&format!("with      {}\n", manifest.with.join(", ")));
    }
    text.push_str(&format!("kernel    {}\n", manifest.kernel.release));
    text.push_str(&format!("packages  {}\n", manifest.packages.len()));
    text.push_str(&format!(
        "folder    {}\ndisk      {}\n",
        image.root().display(),
        image.disk().display()
    ));
    text
}

fn summary(image: &Image) -> serde_json::Value {
    serde_json::json!({
        "name": image.name,
        "sha256": image.sha256,
        "manifest": image.manifest,
        "folder": image.root(),
        "disk": image.disk(),
    })
}
