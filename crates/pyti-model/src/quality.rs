//! Quality: what was read from a distribution's files ([`Quality`], raw data), and what is said of it ([`Assessment`]).
//!
//! Facts are recorded; remarks and the score are a function of them, so that an old recording can be assessed anew.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;

/// Raw data of the task `quality`. What could not be found out is empty, and `missing` says why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Quality {
    /// What the wheel holds and says.
    pub wheel: WheelContents,
    /// What its modules import.
    pub imports: Vec<Imported>,
    /// Which distribution brings which modules, of those that were installed to run it.
    pub providers: Vec<Provider>,
    /// How far it is typed.
    pub types: Typing,
    /// What its extension modules want of the interpreter, for those that claim the limited API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limited: Vec<LimitedApi>,
    /// How its description renders, when that had to be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Rendered>,
    /// What linters said, one for each profile.
    pub lints: Vec<Lint>,
    /// Lines of its modules that are neither empty nor a comment.
    pub code_lines: u64,
    /// What could not be found out, with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// What a wheel holds and says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WheelContents {
    /// Its file name.
    pub filename: Foreign,
    /// Its files, relative to the wheel, with their sizes in bytes. Capped.
    pub files: Vec<(Foreign, u64)>,
    /// All of its files.
    pub files_total: u64,
    /// Header fields of METADATA, in order, capped: name, value.
    pub metadata: Vec<(String, Foreign)>,
    /// Bytes of the description.
    pub description_bytes: u64,
    /// `Tag` lines of WHEEL.
    pub tags: Vec<Foreign>,
    /// `Root-Is-Purelib` of WHEEL.
    pub root_is_purelib: bool,
    /// `Generator` of WHEEL.
    pub generator: Foreign,
    /// Its entry points.
    pub entry_points: Vec<EntryPoint>,
    /// Importable names at the top.
    pub top_level: Vec<String>,
    /// All importable modules, dotted.
    pub modules: Vec<String>,
    /// Compiled extension modules.
    pub extensions: Vec<Foreign>,
    /// What its reader found wrong: lies of RECORD, duplicate names…
    pub problems: Vec<String>,
    /// The oldest and the newest date of its entries: `2020-02-02`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<(String, String)>,
}

/// An entry point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPoint {
    /// Its group: `console_scripts`.
    pub group: Foreign,
    /// Its name.
    pub name: Foreign,
    /// What it points to: `package.module:object`.
    pub target: Foreign,
    /// Whether the object is defined in that module, where its source tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defined: Option<bool>,
}

/// How surely an import happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// When the module is imported, whatever happens.
    #[default]
    Hard,
    /// Under a condition.
    Conditional,
    /// Within `try … except`.
    Soft,
    /// When a function is called.
    Late,
    /// Only for type checkers.
    Typing,
}

/// A module from elsewhere that the distribution imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// Its name, as far as it is needed to tell whose it is: `yaml`, `google.cloud.storage`.
    pub module: String,
    /// The surest way in which it is imported.
    pub kind: ImportKind,
    /// Where first so.
    pub place: Place,
    /// Whether that file is one of tests, examples or documentation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
}

/// A place in a file of the distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Path within the wheel, or within the source tree.
    pub path: Foreign,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// An installed distribution and its modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// Normalised name.
    pub name: String,
    /// Modules by which it can be told from others: names at the top, and those below a namespace. Capped.
    pub modules: Vec<String>,
}

/// How far a distribution is typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Typing {
    /// Packages with `py.typed`.
    pub marked: Vec<String>,
    /// Packages at the top without it.
    pub unmarked: Vec<String>,
    /// Stub files.
    pub stubs: u32,
    /// Public functions and methods, in stubs where there are any for the module.
    pub functions: u64,
    /// Those of which every parameter and the result is annotated.
    pub annotated: u64,
    /// Those of which nothing is annotated.
    pub bare: u64,
    /// Modules with the most functions that lack something: module, functions, of them annotated. Capped.
    pub least: Vec<(String, u64, u64)>,
}

/// What an extension module that claims the limited API wants of the interpreter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitedApi {
    /// The file.
    pub file: Foreign,
    /// Undefined symbols that begin with `Py` or `_Py`. Capped.
    pub symbols: Vec<String>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// How a description rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rendered {
    /// The program: `docutils 0.23`.
    pub by: String,
    /// What it complained of: severity from 1 (information) to 4 (severe), line, text. Capped.
    pub complaints: Vec<Complaint>,
}

/// A complaint of a renderer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Complaint {
    /// From 1 (information) to 4 (severe).
    pub severity: u8,
    /// Line of the description, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What it says.
    pub text: Foreign,
}

/// With which rules a linter looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The same rules for every project, so that they can be compared.
    #[default]
    Neutral,
    /// The project's own configuration.
    Project,
}

/// What a linter said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Lint {
    /// The program: `ruff 0.17.6`.
    pub tool: String,
    /// With which rules.
    pub profile: Profile,
    /// The project's file with its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Foreign>,
    /// How often each rule was broken.
    pub rules: Vec<RuleCount>,
    /// The single cases, capped.
    pub cases: Vec<LintCase>,
    /// All cases.
    pub total: u64,
    /// Why there is no answer, or no whole one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Foreign>,
}

/// How often a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCount {
    /// The rule: `F401`.
    pub rule: String,
    /// How often.
    pub times: u64,
}

/// One case of a linter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintCase {
    /// The rule: `F401`.
    pub rule: String,
    /// Where.
    pub place: Place,
    /// What the linter says.
    pub text: Foreign,
    /// Whether it can mend it by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixable: bool,
}

/// How heavy a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Worth knowing.
    Note,
    /// Somebody will meet it.
    Warning,
    /// It is wrong.
    Error,
}

impl Grade {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Which side of a distribution a remark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is in the archive.
    Packaging,
    /// What it says of itself.
    Metadata,
    /// What it needs.
    Dependencies,
    /// Its sources.
    Code,
    /// Its annotations.
    Typing,
}

impl Side {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Packaging => "packaging",
            Self::Metadata => "metadata",
            Self::Dependencies => "dependencies",
            Self::Code => "code",
            Self::Typing => "typing",
        }
    }
}

/// One thing that could be better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remark {
    /// The rule: `wheel-tests-at-top`, `ruff:F401`.
    pub rule: String,
    /// How heavy it is.
    pub grade: Grade,
    /// Which side it is about.
    pub side: Side,
    /// Where, when it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// One sentence about this very case; what came from the package is made visible in it.
    pub sentence: String,
    /// What to do.
    pub advice: String,
    /// More cases of the same rule that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScorePart {
    /// Which side.
    pub side: Side,
    /// From 0 to 100.
    pub points: f64,
    /// Its weight in the whole.
    pub weight: f64,
    /// How the points came about, in words.
    pub why: String,
}

/// A score: the mean of its parts by their weights. It is never shown without them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Version of the function that made it.
    pub version: u32,
    /// From 0 to 100.
    pub points: f64,
    /// Parts that could be measured.
    pub parts: Vec<ScorePart>,
    /// Sides that could not be measured, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What is said of a distribution's quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// The score, with its parts.
    pub score: Score,
    /// Remarks, the heaviest first.
    pub remarks: Vec<Remark>,
    /// What the project's own configuration of its linter says: cases in all. Not part of the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_lint: Option<u64>,
    /// What could not be found out, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}
