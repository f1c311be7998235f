//! A small ISO 9660 writer: one folder of a few files, with Joliet names.
//!
//! Enough for cloud-init's NoCloud source, which looks for a medium with the
//! label `cidata`. The same files always make the same bytes: there are no
//! times in it. (ECMA-119; the Joliet specification of 1995.)

/// Bytes of a sector.
const SECTOR: usize = 2048;
/// Where the volume descriptors begin.
const DESCRIPTORS: usize = 16;
/// A path table: the root alone.
const PATH_TABLE_BYTES: u32 = 10;
/// Sectors: after the three descriptors come the path tables, little-endian and
/// big-endian, of the plain and then of the Joliet names; then the two folders.
const PATH_TABLES: [u32; 2] = [19, 21];
const FOLDERS: [u32; 2] = [23, 24];
const FIRST_FILE: u32 = 25;
/// A day in 1970, in the form of directory records.
const NO_TIME: [u8; 7] = [70, 1, 1, 0, 0, 0, 0];

/// A file of the medium.
#[derive(Clone, Copy)]
pub struct IsoFile<'a> {
    /// Its name; at most 64 characters.
    pub name: &'a str,
    /// The same for readers without Joliet: up to 8 upper-case letters, digits
    /// and `_`.
    pub short: &'a str,
    /// What is in it.
    pub content: &'a [u8],
}

/// The image of a medium with this label (at most 16 characters) and these
/// files: at most 20, so that the folder fits its sector.
///
/// `None` when there are more, or a name or the label is too long.
pub fn render_iso(label: &str, files: &[IsoFile<'_>]) -> Option<Vec<u8>> {
    let fits = |file: &IsoFile<'_>| {
        file.name.chars().count() <= 64
            && (1..=8).contains(&file.short.len())
            && u32::try_from(file.content.len()).is_ok()
    };
    if files.len() > 20 || label.chars().count() > 16 || !files.iter().all(fits) {
        return None;
    }
    let mut extents = Vec::with_capacity(files.len());
    let mut next = FIRST_FILE;
    for file in files {
        extents.push((next, u32::try_from(file.content.len()).ok()?));
        next = next.checked_add(u32::try_from(file.content.len().div_ceil(SECTOR)).ok()?)?;
    }
    let mut image = vec![0; DESCRIPTORS * SECTOR];
    for joliet in [false, true] {
        image.extend(descriptor(label, next, joliet));
    }
    image.extend(sector([&[255][..], b"CD001", &[1]].concat()));
    for root in FOLDERS {
        image.extend(sector(path_table(root, u32::to_le_bytes, u16::to_le_bytes)));
        image.extend(sector(path_table(root, u32::to_be_bytes, u16::to_be_bytes)));
    }
    image.extend(folder(files, &extents, false)?);
    image.extend(folder(files, &extents, true)?);
    for file in files {
        image.extend_from_slice(file.content);
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    Some(image)
}

/// A number of both byte orders, one after the other.
fn both32(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both16(number: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    bytes[..2].copy_from_slice(&number.to_le_bytes());
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn sector(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(SECTOR, 0);
    bytes
}

/// Big-endian UCS-2, as Joliet has it.
fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A text field of a descriptor, filled with spaces.
fn field(text: &str, length: usize, joliet: bool) -> Vec<u8> {
    let mut bytes = if joliet { ucs2(text) } else { text.as_bytes().to_vec() };
    bytes.truncate(length);
    while bytes.len() < length {
        // An odd last byte of a Joliet field is zero.
        match (joliet, length - bytes.len()) {
            (false, _) => bytes.push(b' '),
            (true, 1) => bytes.push(0),
            (true, _) => bytes.extend([0, b' ']),
        }
    }
    bytes
}

/// The primary volume descriptor, or Joliet's supplementary one.
fn descriptor(label: &str, sectors: u32, joliet: bool) -> Vec<u8> {
    let (which, escape): (usize, &[u8]) = if joliet { (1, b"%/E") } else { (0, b"") };
    let mut bytes = vec![if joliet { 2 } else { 1 }];
    bytes.extend(b"CD001");
    bytes.extend([1, 0]);
    bytes.extend(field("", 32, joliet));
    bytes.extend(field(label, 32, joliet));
    bytes.extend([0; 8]);
    bytes.extend(both32(sectors));
    bytes.extend(escape);
    bytes.resize(120, 0);
    bytes.extend(both16(1));
    bytes.extend(both16(1));
    bytes.extend(both16(2048));
    bytes.extend(both32(PATH_TABLE_BYTES));
    bytes.extend(PATH_TABLES[which].to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((PATH_TABLES[which] + 1).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(record(&[0], FOLDERS[which], 2048, true));
    for length in [128, 128, 128, 128, 37, 37, 37] {
        bytes.extend(field("", length, joliet));
    }
    for _ in 0..4 {
        bytes.extend([b'0'; 16]);
        bytes.push(0);
    }
    bytes.push(1);
    sector(bytes)
}

/// A path table with the root alone.
fn path_table(root: u32, long: fn(u32) -> [u8; 4], short: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(long(root));
    bytes.extend(short(1));
    bytes.extend([0, 0]);
    bytes
}

/// A directory record; its length is even.
fn record(name: &[u8], extent: u32, length: u32, is_folder: bool) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(both32(extent));
    bytes.extend(both32(length));
    bytes.extend(NO_TIME);
    bytes.extend([if is_folder { 2 } else { 0 }, 0, 0]);
    bytes.extend(both16(1));
    // At most 128 bytes of name: every caller keeps to 64 characters.
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend(name);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes[0] = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    bytes
}

/// The folder's sector, with its records in the order of their names; `None`
/// when they do not fit.
fn folder(files: &[IsoFile<'_>], extents: &[(u32, u32)], joliet: bool) -> Option<Vec<u8>> {
    let here = FOLDERS[usize::from(joliet)];
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = files
        .iter()
        .zip(extents)
        .map(|(file, (extent, length))| {
            let name = match joliet {
                true => ucs2(file.name),
                false => format!("{}.;1", file.short).into_bytes(),
            };
            let record = record(&name, *extent, *length, false);
            (name, record)
        })
        .collect();
    records.sort();
    let mut bytes = record(&[0], here, 2048, true);
    bytes.extend(record(&[1], here, 2048, true));
    bytes.extend(records.into_iter().flat_map(|(_, record)| record));
    (bytes.len() <= SECTOR).then(|| sector(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn files<'a>(contents: &'a [(&'a str, &'a str, Vec<u8>)]) -> Vec<IsoFile<'a>> {
        let file = |(name, short, content): &'a (&'a str, &'a str, Vec<u8>)| IsoFile {
            name,
            short,
            content,
        };
        contents.iter().map(file).collect()
    }

    fn sample() -> Vec<(&'static str, &'static str, Vec<u8>)> {
        vec![
            ("user-data", "USERDATA", b"#cloud-config\n{}\n".repeat(300)),
            ("meta-data", "METADATA", b"instance-id: \"1\"\n".to_vec()),
            ("vendor-data", "VENDORDA", Vec::new()),
            ("network-config", "NETWORKC", b"version: 2\n".to_vec()),
        ]
    }

    /// What an independent reader finds.
    fn extract(image: &Path, names: &str, to: &Path) -> String {
        let output = Command::new("xorriso")
            .args(["-osirrox", "on", "-read_fs", names, "-indev"])
            .arg(image)
            .args(["-pvd_info", "-extract", "/"])
            .arg(to)
            .output()
            .expect("xorriso is installed: ./run does that");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    #[test]
    fn an_independent_reader_finds_label_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("seed.iso");
        let sample = sample();
        fs::write(&image, render_iso("cidata", &files(&sample)).unwrap()).unwrap();
        for (names, joliet) in [("norock", true), ("nojoliet", false)] {
            let to = folder.path().join(names);
            let said = extract(&image, names, &to);
            assert!(said.contains("cidata"), "{said}");
            let found = fs::read_dir(&to).unwrap().count();
            assert_eq!(found, sample.len(), "{names}");
            for (name, short, content) in &sample {
                let file = if joliet { to.join(name) } else { to.join(short) };
                assert_eq!(&fs::read(&file).unwrap(), content, "{names} {}", file.display());
            }
        }
    }

    #[test]
    fn the_same_files_make_the_same_bytes_in_whole_sectors() {
        let sample = sample();
        let image = render_iso("cidata", &files(&sample)).unwrap();
        assert_eq!(Some(&image), render_iso("cidata", &files(&sample)).as_ref());
        assert_eq!(image.len() % SECTOR, 0);
        let said = u32::from_le_bytes(image[16 * SECTOR + 80..][..4].try_into().unwrap());
        assert_eq!(said as usize, image.len() / SECTOR);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(65);
        let file = IsoFile { name: &long, short: "X", content: b"" };
        assert!(render_iso("cidata", &[file]).is_none());
        let file = IsoFile { name: "x", short: "X", content: b"" };
        assert!(render_iso("cidata", &[file; 21]).is_none());
        assert!(render_iso("a label that is too long", &[file]).is_none());
        let long = "x".repeat(64);
        let file = IsoFile { name: &long, short: "X", content: b"" };
        assert!(render_iso("cidata", &[file; 20]).is_none(), "the folder has one sector");
    }
}
