//! JPEG (ITU-T T.81): baseline and progressive Huffman coding, 8 bits, 1, 3 or 4 components, every
//! whole-numbered sampling and every order of scans.
//!
//! A photograph that is decoded wrongly is worse than one that is refused: a part with a grey half would be
//! scored. So the decoder takes a file only if every byte of it up to the end marker is accounted for, and
//! refuses whatever libjpeg-turbo's `djpeg` would warn of.
//!
//! ```text
//! segments ─ marker ─▶ Frame, tables
//!                         │
//! scan data ─ huffman ─▶ scan: a block's coefficients ─ idct ─▶ planes, one a component ─ upsample, color ─▶ pixels
//! ```
//!
//! Blocks of a sequential file are transformed as soon as they are read. A progressive file refines its
//! coefficients scan by scan; they are kept and transformed at the end. The pixels equal libjpeg's with its
//! defaults ("islow" transform, "fancy" upsampling).
//!
//! Indices in the inner loops are bounded by the shape of what they index: ten bits into 1,024 entries, a
//! place in zigzag order below 64, blocks of a plane that was allocated for the frame.

mod color;
mod frame;
mod huffman;
mod idct;
mod marker;
mod scan;
mod upsample;

pub(super) use marker::Tables;

use frame::Frame;
use std::borrow::Cow;

/// Why a file is refused, as a noun phrase: "a JPEG without its end".
pub(super) type Refusal = Cow<'static, str>;
type Result<T, E = Refusal> = std::result::Result<T, E>;

/// A scan may be a few bytes long and still touch every block. Encoders make about ten.
const MAX_SCANS: usize = 200;

/// What a file holds.
pub(super) struct Pixels<'a> {
    /// Bytes of a pixel: 1 (grey) or 3 (RGB).
    pub(super) channels: usize,
    pub(super) data: Vec<u8>,
    /// The first blocks of metadata.
    pub(super) exif: Option<&'a [u8]>,
    pub(super) xmp: Option<&'a [u8]>,
}

/// How the components make colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gray,
    Rgb,
    Ycc,
    Cmyk,
    Ycck,
}

/// A file whose header has been read.
pub(super) struct Decoder<'a> {
    reader: marker::Reader<'a>,
    tables: Tables,
    frame: Frame,
    coding: Option<Coding>,
}

impl<'a> Decoder<'a> {
    /// Reads the header, up to the frame. `tables` are those of an abbreviated stream, as TIFF has them.
    pub(super) fn new(bytes: &'a [u8], mut tables: Tables) -> Result<Self> {
        let mut reader = marker::Reader::new(bytes)?;
        let frame = reader.read_to_frame(&mut tables)?;
        Ok(Self { reader, tables, frame, coding: None })
    }

    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.frame.width, self.frame.height)
    }

    /// The blocks of EXIF and XMP that lie before the frame, as they do in what cameras write.
    pub(super) fn metadata(&self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        (self.reader.exif, self.reader.xmp)
    }

    /// Components of a pixel as they are stored.
    pub(super) fn components(&self) -> usize {
        self.frame.components.len()
    }

    /// Bytes that decoding takes, with the pixels that it returns.
    pub(super) fn memory(&self) -> u64 {
        self.frame.memory()
    }

    /// Takes the coding from elsewhere, as TIFF states it.
    pub(super) fn set_coding(&mut self, coding: Coding) {
        self.coding = Some(coding);
    }

    /// Decodes the pixels.
    pub(super) fn decode(mut self) -> Result<Pixels<'a>> {
        self.frame.allocate();
        let mut scans = 0;
        while let Some(header) = self.reader.read_to_scan(&mut self.tables, &mut self.frame)? {
            scans += 1;
            if scans > MAX_SCANS {
                return Err(format!("a JPEG of more than {MAX_SCANS} scans").into());
            }
            let rest = scan::decode(&mut self.frame, &self.tables, &header, self.reader.rest())?;
            self.reader.set_rest(rest);
        }
        self.frame.check_complete()?;
        let coding = match self.coding {
            Some(coding) => coding,
            None => self.reader.coding(&self.frame)?,
        };
        self.frame.transform()?;
        let channels = if coding == Coding::Gray { 1 } else { 3 };
        let data = color::convert(&self.frame, coding);
        Ok(Pixels { channels, data, exif: self.reader.exif, xmp: self.reader.xmp })
    }
}
