//! Entropy-coded data of a scan (T.81, annexes F and G).

use super::frame::{BAD_COEFFICIENT, Block, Component, Frame, Process};
use super::huffman::{BAD_CODE, Bits, StandardTables, Table, extend};
use super::idct::{self, Dequantizer, ZIGZAG};
use super::marker::{ScanComponent, ScanHeader, Tables, expect_restart};
use super::{Refusal, Result};

const BAD_SCRIPT: Refusal =
    Refusal::Borrowed("a damaged JPEG (a scan that does not continue those before it)");
const BAD_RUN: Refusal = Refusal::Borrowed("a damaged JPEG (more coefficients than a block has)");

/// What is kept from block to block.
struct State<'a> {
    bits: Bits<'a>,
    /// The last DC coefficient of each component of the scan.
    dc: [i32; 4],
    /// Blocks that have no more coefficients in this scan.
    end_run: u32,
}

/// Reads a scan from `bytes`. Returns what follows it, a marker.
pub(super) fn decode<'a>(
    frame: &mut Frame,
    tables: &Tables,
    header: &ScanHeader,
    bytes: &'a [u8],
) -> Result<&'a [u8]> {
    begin(frame, tables, header)?;
    let interval = tables.restart_interval;
    let &ScanHeader { first, last, high, low, .. } = header;
    if frame.process == Process::Sequential {
        let both = |c: &ScanComponent| {
            let dc = table_or_standard(&tables.dc, c.dc, |standard| &standard.dc)?;
            Ok((dc, table_or_standard(&tables.ac, c.ac, |standard| &standard.ac)?))
        };
        let tables = header.components.iter().map(both);
        let tables = tables.collect::<Result<Vec<_>>>()?;
        return walk(frame, header, interval, bytes, |state, i, component, x, y| {
            let steps = component.steps.as_ref().ok_or(BAD_SCRIPT)?;
            let mut samples = [[0; 8]; 8];
            read_block(&mut state.bits, tables[i], &mut state.dc[i], steps, &mut samples)?;
            component.put_block(x, y, &samples);
            Ok(())
        });
    }
    match (first, high) {
        (0, 0) => {
            let tables = header.components.iter().map(|c| table(&tables.dc, c.dc));
            let tables = tables.collect::<Result<Vec<_>>>()?;
            walk(frame, header, interval, bytes, |state, i, component, x, y| {
                let block = component.block(x, y);
                state.dc[i] += state.bits.coefficient(tables[i])?.value;
                block[0] = i16::try_from(state.dc[i] << low).map_err(|_| BAD_COEFFICIENT)?;
                Ok(())
            })
        }
        (0, _) => walk(frame, header, interval, bytes, |state, _, component, x, y| {
            component.block(x, y)[0] |= (state.bits.take(1) << low) as i16;
            Ok(())
        }),
        (_, 0) => {
            let table = table(&tables.ac, header.components[0].ac)?;
            walk(frame, header, interval, bytes, |state, _, component, x, y| {
                if state.end_run > 0 {
                    state.end_run -= 1;
                    return Ok(());
                }
                state.read_first(table, component.block(x, y), (first, last), low)
            })
        }
        _ => {
            let table = table(&tables.ac, header.components[0].ac)?;
            walk(frame, header, interval, bytes, |state, _, component, x, y| {
                state.refine(table, component.block(x, y), (first, last), low)
            })
        }
    }
}

impl Component {
    fn block(&mut self, x: usize, y: usize) -> &mut Block {
        &mut self.blocks[y * self.stride + x]
    }
}

/// Checks that the scan continues those before it, and notes which bits it reads.
fn begin(frame: &mut Frame, tables: &Tables, header: &ScanHeader) -> Result<()> {
    let &ScanHeader { first, last, high, low, .. } = header;
    match frame.process {
        Process::Sequential if (first, last, high, low) != (0, 63, 0, 0) => return Err(BAD_SCRIPT),
        Process::Sequential => {}
        Process::Progressive => {
            let of_dc = first == 0 && last == 0;
            let of_ac = 0 < first && first <= last && last < 64 && header.components.len() == 1;
            if !(of_dc || of_ac) || low > 13 || (high > 0 && high != low + 1) {
                return Err(BAD_SCRIPT);
            }
        }
    }
    for part in &header.components {
        let component = &mut frame.components[part.index];
        if component.steps.is_none() {
            component.steps = tables.steps[component.quantization];
        }
        if component.steps.is_none() {
            return Err("a JPEG without its quantisation table".into());
        }
        let before = (high > 0).then_some(high);
        if first > 0 && component.bits_read[0].is_none() {
            return Err(BAD_SCRIPT);
        }
        for bits in &mut component.bits_read[first..=last] {
            if *bits != before {
                return Err(BAD_SCRIPT);
            }
            *bits = Some(low);
        }
    }
    Ok(())
}

fn table(tables: &[Option<Box<Table>>; 4], at: usize) -> Result<&Table> {
    tables[at].as_deref().ok_or_else(|| "a JPEG without its Huffman table".into())
}

fn table_or_standard(
    tables: &[Option<Box<Table>>; 4],
    at: usize,
    standard: impl Fn(&'static StandardTables) -> &'static [Table; 2],
) -> Result<&Table> {
    match StandardTables::get().and_then(|tables| standard(tables).get(at)) {
        Some(standard) => Ok(tables[at].as_deref().unwrap_or(standard)),
        None => table(tables, at),
    }
}

/// Calls `read` for every block of the scan, with its component's place in the scan, and its column and row.
fn walk<'a>(
    frame: &mut Frame,
    header: &ScanHeader,
    interval: usize,
    bytes: &'a [u8],
    mut read: impl FnMut(&mut State<'a>, usize, &mut Component, usize, usize) -> Result<()>,
) -> Result<&'a [u8]> {
    let mut state = State { bits: Bits::new(bytes), dc: [0; 4], end_run: 0 };
    let alone = header.components.len() == 1;
    let (wide, high) = match header.components.first().and_then(|c| frame.components.get(c.index)) {
        // A component alone has no blocks that fill up an MCU.
        Some(component) if alone => (component.blocks_wide, component.blocks_high),
        _ => frame.mcus(),
    };
    let (mut left, mut number) = (interval, 0);
    for y in 0..high {
        for x in 0..wide {
            if interval > 0 {
                if left == 0 {
                    let rest = expect_restart(state.bits.finish()?, number)?;
                    state = State { bits: Bits::new(rest), dc: [0; 4], end_run: 0 };
                    (left, number) = (interval, (number + 1) % 8);
                }
                left -= 1;
            }
            for (i, part) in header.components.iter().enumerate() {
                let component = &mut frame.components[part.index];
                let (h, v) = if alone { (1, 1) } else { (component.h, component.v) };
                for row in 0..v {
                    for column in 0..h {
                        read(&mut state, i, component, x * h + column, y * v + row)?;
                    }
                }
            }
            state.bits.check()?;
        }
    }
    state.bits.finish()
}

/// A block of a sequential scan (T.81, F.2.2), as samples.
#[inline]
fn read_block(
    bits: &mut Bits<'_>,
    (dc_table, ac_table): (&Table, &Table),
    dc: &mut i32,
    steps: &[u16; 64],
    samples: &mut [[u8; 8]; 8],
) -> Result<()> {
    let mut dequantizer = Dequantizer::default();
    *dc += bits.coefficient(dc_table)?.value;
    let mut block: Block = [0; 64];
    block[0] = dequantizer.multiply(i16::try_from(*dc).map_err(|_| BAD_COEFFICIENT)?, steps[0]);
    let mut k = 1;
    let mut end = 1;
    while k < 64 {
        let next = bits.coefficient(ac_table)?;
        let zeros = usize::from(next.symbol >> 4);
        if next.symbol & 15 == 0 {
            match zeros {
                0 => break,
                15 => k += 16,
                _ => return Err(BAD_CODE),
            }
            continue;
        }
        k += zeros;
        if k > 63 {
            return Err(BAD_RUN);
        }
        block[usize::from(ZIGZAG[k])] = dequantizer.multiply(next.value as i16, steps[k]);
        k += 1;
        end = k;
    }
    if k > 64 {
        return Err(BAD_RUN);
    }
    if !dequantizer.all_in_range() {
        return Err(BAD_COEFFICIENT);
    }
    *samples = match end {
        1 => [[idct::transform_flat(block[0]); 8]; 8],
        // The first ten lie in the first four rows and columns.
        ..=10 => idct::transform::<4>(&block),
        _ => idct::transform::<8>(&block),
    };
    Ok(())
}

impl State<'_> {
    /// The first bits of AC coefficients (T.81, G.1.2.2).
    fn read_first(
        &mut self,
        table: &Table,
        block: &mut Block,
        (first, last): (usize, usize),
        low: u8,
    ) -> Result<()> {
        let mut k = first;
        while k <= last {
            let symbol = self.bits.symbol(table)?;
            let (zeros, size) = (symbol >> 4, u32::from(symbol & 15));
            if size > 0 {
                k += usize::from(zeros);
                if k > last {
                    return Err(BAD_RUN);
                }
                let value = extend(self.bits.take(size), size) << low;
                block[usize::from(ZIGZAG[k])] = i16::try_from(value).map_err(|_| BAD_COEFFICIENT)?;
                k += 1;
            } else if zeros == 15 {
                k += 16;
            } else {
                self.end_run = self.read_end_run(zeros) - 1;
                return Ok(());
            }
        }
        if k > last + 1 { Err(BAD_RUN) } else { Ok(()) }
    }

    fn read_end_run(&mut self, size: u8) -> u32 {
        (1 << size) + self.bits.take(size.into())
    }

    /// One more bit of AC coefficients, and those that it makes the first of (T.81, G.1.2.3).
    fn refine(
        &mut self,
        table: &Table,
        block: &mut Block,
        (first, last): (usize, usize),
        low: u8,
    ) -> Result<()> {
        let bit = 1i16 << low;
        let mut k = first;
        while k <= last && self.end_run == 0 {
            let symbol = self.bits.symbol(table)?;
            let mut zeros = symbol >> 4;
            let value = match symbol & 15 {
                0 if zeros < 15 => {
                    self.end_run = self.read_end_run(zeros);
                    break;
                }
                0 => 0,
                1 if self.bits.take(1) == 1 => bit,
                1 => -bit,
                _ => return Err(BAD_CODE),
            };
            // Past `zeros` coefficients that are 0 still; the others on the way have a bit each.
            while k <= last {
                let coefficient = &mut block[usize::from(ZIGZAG[k])];
                if *coefficient != 0 {
                    self.refine_one(coefficient, bit);
                } else if zeros == 0 {
                    *coefficient = value;
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if k > last && (value != 0 || zeros > 0) {
                return Err(BAD_RUN);
            }
            k += 1;
        }
        if self.end_run > 0 {
            for &at in ZIGZAG.get(k..=last).unwrap_or_default() {
                let coefficient = &mut block[usize::from(at)];
                if *coefficient != 0 {
                    self.refine_one(coefficient, bit);
                }
            }
            self.end_run -= 1;
        }
        Ok(())
    }

    #[inline]
    fn refine_one(&mut self, coefficient: &mut i16, bit: i16) {
        if self.bits.take(1) == 1 && *coefficient & bit == 0 {
            *coefficient += if *coefficient > 0 { bit } else { -bit };
        }
    }
}
