//! Segments between the scans (T.81, annex B).

#![cfg_attr(not(test), deny(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation))]

use super::frame::{Frame, Process};
use super::huffman::Table;
use super::{Coding, Refusal, Result};

/// Tables in force, by their destination.
#[derive(Clone, Default)]
pub(in crate::image) struct Tables {
    /// Steps of quantisation in zigzag order.
    pub(super) steps: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Box<Table>>; 4],
    pub(super) ac: [Option<Box<Table>>; 4],
    /// MCUs between restart markers; 0: there are none.
    pub(super) restart_interval: usize,
}

/// A scan header (T.81, B.2.3).
pub(super) struct ScanHeader {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient, in zigzag order.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The lowest bit of these coefficients that was read before, 0 if none was, and the lowest that the scan
    /// has.
    pub(super) high: u8,
    pub(super) low: u8,
}

pub(super) struct ScanComponent {
    /// Place in the frame.
    pub(super) index: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// Reads segment after segment.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    jfif: bool,
    adobe: Option<u8>,
    /// The first blocks of metadata.
    pub(super) exif: Option<&'a [u8]>,
    pub(super) xmp: Option<&'a [u8]>,
}

mod code {
    pub(super) const SOI: u8 = 0xd8;
    pub(super) const EOI: u8 = 0xd9;
    pub(super) const SOS: u8 = 0xda;
    pub(super) const DQT: u8 = 0xdb;
    pub(super) const DHT: u8 = 0xc4;
    pub(super) const DRI: u8 = 0xdd;
    pub(super) const DNL: u8 = 0xdc;
    pub(super) const COM: u8 = 0xfe;
    pub(super) const TEM: u8 = 0x01;
    pub(super) const RST0: u8 = 0xd0;
    pub(super) const RST7: u8 = 0xd7;
    pub(super) const APP0: u8 = 0xe0;
    pub(super) const APP1: u8 = 0xe1;
    pub(super) const APP14: u8 = 0xee;
    pub(super) const APP15: u8 = 0xef;
}

const NO_END: Refusal = Refusal::Borrowed("a JPEG without its end");

fn damaged(what: &str) -> Refusal {
    format!("a damaged JPEG ({what})").into()
}

impl Tables {
    /// Reads an abbreviated stream: tables alone.
    pub(in crate::image) fn read(bytes: &[u8]) -> Result<Self> {
        let (mut tables, mut reader) = (Self::default(), Reader::new(bytes)?);
        match reader.read_tables(&mut tables)? {
            (code::EOI, _) => Ok(tables),
            _ => Err(damaged("more than tables where there are tables")),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            [0xff, code::SOI, rest @ ..] => {
                Ok(Self { rest, jfif: false, adobe: None, exif: None, xmp: None })
            }
            _ => Err("no JPEG".into()),
        }
    }

    /// What follows the last segment that was read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn set_rest(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    pub(super) fn read_to_frame(&mut self, tables: &mut Tables) -> Result<Frame> {
        let (marker, content) = self.read_tables(tables)?;
        let process = match marker {
            0xc0 | 0xc1 => Process::Sequential,
            0xc2 => Process::Progressive,
            0xc3 => return Err("a lossless JPEG".into()),
            0xc5..=0xc7 | 0xcd..=0xcf => return Err("a hierarchical JPEG".into()),
            0xc9..=0xcb => return Err("a JPEG with arithmetic coding".into()),
            0xf7 => return Err("a JPEG-LS photograph".into()),
            code::SOS | code::EOI => return Err(damaged("no frame")),
            _ => return Err(unknown(marker)),
        };
        read_frame(process, content)
    }

    /// The next scan's header, or nothing at the end.
    pub(super) fn read_to_scan(
        &mut self,
        tables: &mut Tables,
        frame: &mut Frame,
    ) -> Result<Option<ScanHeader>> {
        match self.read_tables(tables)? {
            (code::SOS, content) => read_scan(frame, content).map(Some),
            (code::EOI, _) => Ok(None),
            (0xc0..=0xcf, _) => Err(damaged("a second frame")),
            (marker, _) => Err(unknown(marker)),
        }
    }

    /// How the components make colours, as libjpeg takes it from the markers.
    pub(super) fn coding(&self, frame: &Frame) -> Result<Coding> {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        Ok(match (ids.len(), self.adobe) {
            (1, _) => Coding::Gray,
            (3, _) if self.jfif => Coding::Ycc,
            (3, Some(0)) => Coding::Rgb,
            (3, Some(1)) => Coding::Ycc,
            (3, None) if ids == *b"RGB" => Coding::Rgb,
            (3, None) => Coding::Ycc,
            (4, None | Some(0)) => Coding::Cmyk,
            (4, Some(2)) => Coding::Ycck,
            (_, transform) => {
                return Err(damaged(&format!("unknown Adobe transform {}", transform.unwrap_or_default())));
            }
        })
    }

    /// Reads what may stand anywhere. Returns the next other marker with its segment.
    fn read_tables(&mut self, tables: &mut Tables) -> Result<(u8, &'a [u8])> {
        loop {
            let marker = self.read_marker()?;
            if matches!(marker, code::TEM | code::RST0..=code::RST7) {
                continue;
            }
            if marker == code::EOI {
                return Ok((marker, &[]));
            }
            let content = self.read_segment()?;
            match marker {
                code::DQT => read_steps(tables, content)?,
                code::DHT => read_huffman_tables(tables, content)?,
                code::DRI => match content {
                    &[high, low] => tables.restart_interval = u16::from_be_bytes([high, low]).into(),
                    _ => return Err(damaged("restart interval")),
                },
                code::APP0..=code::APP15 => self.read_application(marker, content)?,
                code::COM => {}
                _ => return Ok((marker, content)),
            }
        }
    }

    fn read_marker(&mut self) -> Result<u8> {
        let filled = self.rest.iter().take_while(|&&byte| byte == 0xff).count();
        match self.rest.get(filled) {
            None => Err(NO_END),
            Some(0) => Err(damaged("bytes between its segments")),
            Some(_) if filled == 0 => Err(damaged("bytes between its segments")),
            Some(&marker) => {
                self.rest = self.rest.get(filled + 1..).unwrap_or_default();
                Ok(marker)
            }
        }
    }

    fn read_segment(&mut self) -> Result<&'a [u8]> {
        let &[high, low, ..] = self.rest else { return Err(NO_END) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (segment, rest) = self.rest.split_at_checked(length).ok_or(NO_END)?;
        self.rest = rest;
        segment.get(2..).ok_or_else(|| damaged("length of a segment"))
    }

    fn read_application(&mut self, marker: u8, content: &'a [u8]) -> Result<()> {
        match (marker, content) {
            (code::APP0, [b'J', b'F', b'I', b'F', 0, major, minor, ..]) if content.len() >= 14 => {
                if *major != 1 {
                    return Err(format!("a JPEG of JFIF version {major}.{minor:02}").into());
                }
                self.jfif = true;
            }
            (code::APP14, [b'A', b'd', b'o', b'b', b'e', ..]) => {
                if let Some(&transform) = content.get(11) {
                    self.adobe = Some(transform);
                }
            }
            (code::APP1, _) => {
                if let Some(exif) = content.strip_prefix(b"Exif\0\0") {
                    self.exif.get_or_insert(exif);
                } else if let Some(xmp) = content.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    self.xmp.get_or_insert(xmp);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Takes a restart marker that is to be next.
pub(super) fn expect_restart(bytes: &[u8], number: u8) -> Result<&[u8]> {
    let filled = bytes.iter().take_while(|&&byte| byte == 0xff).count();
    match bytes.get(filled..) {
        Some([marker, rest @ ..]) if filled > 0 && *marker == code::RST0 + number => Ok(rest),
        _ => Err(damaged("a restart marker is missing")),
    }
}

fn unknown(marker: u8) -> Refusal {
    match marker {
        code::DNL => "a JPEG whose height is stated behind it (DNL)".into(),
        code::SOI => damaged("a second start"),
        _ => damaged(&format!("unknown marker {marker:#04x}")),
    }
}

fn read_steps(tables: &mut Tables, mut content: &[u8]) -> Result<()> {
    let bad = || damaged("quantisation table");
    while let [head, rest @ ..] = content {
        let wide = match head >> 4 {
            0 => false,
            1 => true,
            _ => return Err(bad()),
        };
        let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 }).ok_or_else(bad)?;
        let mut steps = [0; 64];
        if wide {
            let pairs = values.as_chunks().0.iter().map(|&pair| u16::from_be_bytes(pair));
            steps.iter_mut().zip(pairs).for_each(|(step, value)| *step = value);
        } else {
            steps.iter_mut().zip(values).for_each(|(step, &value)| *step = value.into());
        }
        if steps.contains(&0) {
            return Err(bad());
        }
        *tables.steps.get_mut(usize::from(head & 15)).ok_or_else(bad)? = Some(steps);
        content = rest;
    }
    Ok(())
}

fn read_huffman_tables(tables: &mut Tables, mut content: &[u8]) -> Result<()> {
    let bad = || damaged("Huffman table");
    while let [head, rest @ ..] = content {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(bad)?;
        let total = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(total).ok_or_else(bad)?;
        let table = Box::new(Table::new(counts, symbols)?);
        let class = match head >> 4 {
            0 if !table.is_for_dc() => return Err(bad()),
            0 => &mut tables.dc,
            1 => &mut tables.ac,
            _ => return Err(bad()),
        };
        *class.get_mut(usize::from(head & 15)).ok_or_else(bad)? = Some(table);
        content = rest;
    }
    Ok(())
}

fn read_frame(process: Process, content: &[u8]) -> Result<Frame> {
    let bad = || damaged("frame header");
    let &[precision, h1, h0, w1, w0, count, ref components @ ..] = content else { return Err(bad()) };
    let (height, width) = (u16::from_be_bytes([h1, h0]).into(), u16::from_be_bytes([w1, w0]).into());
    if precision != 8 {
        return Err(format!("a JPEG of {precision} bits a sample").into());
    }
    if height == 0 {
        return Err("a JPEG whose height is stated behind it (DNL)".into());
    }
    let (components, []) = components.as_chunks::<3>() else { return Err(bad()) };
    if components.len() != usize::from(count) || width == 0 {
        return Err(bad());
    }
    let components: Vec<_> = components
        .iter()
        .map(|&[id, sampling, table]| {
            (id, usize::from(sampling >> 4), usize::from(sampling & 15), usize::from(table))
        })
        .collect();
    for &(id, h, v, table) in &components {
        let twice = components.iter().filter(|c| c.0 == id).count() > 1;
        if twice || !(1..=4).contains(&h) || !(1..=4).contains(&v) || table > 3 {
            return Err(bad());
        }
    }
    Frame::new(process, (width, height), &components)
}

fn read_scan(frame: &Frame, content: &[u8]) -> Result<ScanHeader> {
    let bad = || damaged("scan header");
    let [count, content @ ..] = content else { return Err(bad()) };
    let (components, rest) = content.split_at_checked(2 * usize::from(*count)).ok_or_else(bad)?;
    let &[first, last, approximation] = rest else { return Err(bad()) };
    let mut found: Vec<ScanComponent> = Vec::new();
    for &[id, tables] in components.as_chunks::<2>().0 {
        let index = frame.components.iter().position(|c| c.id == id).ok_or_else(bad)?;
        if found.iter().any(|c| c.index == index) || tables & 0xcc != 0 {
            return Err(bad());
        }
        found.push(ScanComponent { index, dc: usize::from(tables >> 4), ac: usize::from(tables & 15) });
    }
    let parts = found.iter().filter_map(|part| frame.components.get(part.index));
    let blocks: usize = parts.map(|component| component.h * component.v).sum();
    if found.is_empty() || (found.len() > 1 && blocks > 10) {
        return Err(bad());
    }
    Ok(ScanHeader {
        components: found,
        first: first.into(),
        last: last.into(),
        high: approximation >> 4,
        low: approximation & 15,
    })
}
