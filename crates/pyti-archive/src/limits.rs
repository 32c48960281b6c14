//! How much of an archive is read before it counts as a bomb.

/// Limits for reading one archive. Whatever goes beyond the first four makes the archive unusable; whatever goes
/// beyond the others makes one entry refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the decompressed stream: contents, and for tar its headers and padding too.
    pub total_bytes: u64,
    /// Entries of every kind.
    pub entries: u64,
    /// Decompressed bytes for each byte of the archive. Looked at only above [`Limits::RATIO_FROM`].
    pub ratio: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of a whole name.
    pub name_bytes: usize,
    /// Bytes of one component of a name; what Linux takes.
    pub component_bytes: usize,
    /// Components of a name.
    pub depth: usize,
    /// Bytes of one extended header (long names, pax records).
    pub header_bytes: u64,
}

impl Limits {
    /// Below this many decompressed bytes the ratio says nothing: a folder of empty files compresses as well as
    /// a bomb does.
    pub const RATIO_FROM: u64 = 64 << 20;

    /// Refused entries that are listed; the rest is counted.
    pub const LISTED: usize = 200;
}

impl Default for Limits {
    /// 1 GiB in 100,000 entries, 512 MiB for one file, 200 bytes for one. The largest honest sdists stay well
    /// below; deflate itself cannot do better than 1032:1, and a tar of zeros does about that.
    fn default() -> Self {
        Self {
            total_bytes: 1 << 30,
            entries: 100_000,
            ratio: 200,
            file_bytes: 512 << 20,
            name_bytes: 1024,
            component_bytes: 255,
            depth: 64,
            header_bytes: 1 << 20,
        }
    }
}
