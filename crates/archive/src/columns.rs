//! How a value of a row stands in a column of a file.

use std::io::Write;

use chrono::{DateTime, Utc};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::file::reader::RowGroupReader;
use parquet::file::writer::SerializedRowGroupWriter;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::ArchiveError;

/// Decimals of the ledger's amounts.
const AMOUNT_SCALE: u32 = 4;

type ValueOf<C> = <<C as Cell>::Physical as DataType>::T;

/// A value that has a column type.
pub(crate) trait Cell: Sized {
    /// The file format's own type.
    type Physical: DataType;
    /// That type and its meaning, as a schema says them: `{}` stands for the column's name.
    const SHAPE: &'static str;
    /// Whether the column may be null.
    const OPTIONAL: bool = false;

    /// The value to write; none for null.
    fn value(&self) -> Option<ValueOf<Self>>;
    /// The value that was read; none for null.
    fn of(value: Option<ValueOf<Self>>) -> Result<Self, ArchiveError>;
}

/// The line of a column in a schema.
pub(crate) fn schema_line<C: Cell>(name: &str) -> String {
    let need = if C::OPTIONAL { "OPTIONAL" } else { "REQUIRED" };
    format!("{need} {};\n", C::SHAPE.replace("{}", name))
}

/// Writes the next column of a row group.
pub(crate) fn write<'r, C: Cell + 'r, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cells: impl Iterator<Item = &'r C>,
) -> Result<(), ArchiveError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        let value = cell.value();
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    let mut column = group.next_column()?.ok_or_else(|| corrupt("a column too many"))?;
    column.typed::<C::Physical>().write_batch(&values, C::OPTIONAL.then_some(levels.as_slice()), None)?;
    Ok(column.close()?)
}

/// Reads a column of a row group.
pub(crate) fn read<C: Cell>(group: &dyn RowGroupReader, column: usize) -> Result<Vec<C>, ArchiveError> {
    let metadata = group.metadata();
    let rows = usize::try_from(metadata.num_rows()).map_err(|_| corrupt("a negative number of rows"))?;
    // The library does not return from a type that is not the expected one.
    if column >= metadata.num_columns()
        || metadata.column(column).column_type() != C::Physical::get_physical_type()
        || (metadata.column(column).column_descr().max_def_level() == 1) != C::OPTIONAL
    {
        return Err(corrupt("a column is of another type"));
    }
    let mut reader = get_typed_column_reader::<C::Physical>(group.get_column_reader(column)?);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut seen = 0;
    while seen < rows {
        let (records, _, _) =
            reader.read_records(rows - seen, C::OPTIONAL.then_some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(corrupt("a column is too short"));
        }
        seen += records;
    }
    let mut values = values.into_iter();
    if C::OPTIONAL {
        levels.into_iter().map(|level| C::of(if level == 0 { None } else { values.next() })).collect()
    } else {
        values.map(|value| C::of(Some(value))).collect()
    }
}

pub(crate) fn corrupt(what: &str) -> ArchiveError {
    ArchiveError::Corrupt(what.to_owned())
}

fn there<T>(value: Option<T>) -> Result<T, ArchiveError> {
    value.ok_or_else(|| corrupt("a value is missing"))
}

impl<C: Cell> Cell for Option<C> {
    type Physical = C::Physical;
    const SHAPE: &'static str = C::SHAPE;
    const OPTIONAL: bool = true;

    fn value(&self) -> Option<ValueOf<C>> {
        self.as_ref().and_then(Cell::value)
    }

    fn of(value: Option<ValueOf<C>>) -> Result<Self, ArchiveError> {
        value.map(|value| C::of(Some(value))).transpose()
    }
}

impl Cell for Uuid {
    type Physical = FixedLenByteArrayType;
    const SHAPE: &'static str = "FIXED_LEN_BYTE_ARRAY (16) {} (UUID)";

    fn value(&self) -> Option<FixedLenByteArray> {
        Some(FixedLenByteArray::from(self.as_bytes().to_vec()))
    }

    fn of(value: Option<FixedLenByteArray>) -> Result<Self, ArchiveError> {
        Self::from_slice(there(value)?.data()).map_err(|_| corrupt("an id is too short"))
    }
}

impl Cell for String {
    type Physical = ByteArrayType;
    const SHAPE: &'static str = "BYTE_ARRAY {} (STRING)";

    fn value(&self) -> Option<ByteArray> {
        Some(ByteArray::from(self.as_str()))
    }

    fn of(value: Option<ByteArray>) -> Result<Self, ArchiveError> {
        Self::from_utf8(there(value)?.data().to_vec()).map_err(|_| corrupt("a text is not UTF-8"))
    }
}

impl Cell for bool {
    type Physical = BoolType;
    const SHAPE: &'static str = "BOOLEAN {}";

    fn value(&self) -> Option<Self> {
        Some(*self)
    }

    fn of(value: Option<Self>) -> Result<Self, ArchiveError> {
        there(value)
    }
}

impl Cell for i16 {
    type Physical = Int32Type;
    const SHAPE: &'static str = "INT32 {} (INTEGER (16, true))";

    fn value(&self) -> Option<i32> {
        Some(i32::from(*self))
    }

    fn of(value: Option<i32>) -> Result<Self, ArchiveError> {
        Self::try_from(there(value)?).map_err(|_| corrupt("a number is too large"))
    }
}

impl Cell for i32 {
    type Physical = Int32Type;
    const SHAPE: &'static str = "INT32 {}";

    fn value(&self) -> Option<Self> {
        Some(*self)
    }

    fn of(value: Option<Self>) -> Result<Self, ArchiveError> {
        there(value)
    }
}

impl Cell for i64 {
    type Physical = Int64Type;
    const SHAPE: &'static str = "INT64 {}";

    fn value(&self) -> Option<Self> {
        Some(*self)
    }

    fn of(value: Option<Self>) -> Result<Self, ArchiveError> {
        there(value)
    }
}

impl Cell for DateTime<Utc> {
    type Physical = Int64Type;
    const SHAPE: &'static str = "INT64 {} (TIMESTAMP (MICROS, true))";

    fn value(&self) -> Option<i64> {
        Some(self.timestamp_micros())
    }

    fn of(value: Option<i64>) -> Result<Self, ArchiveError> {
        Self::from_timestamp_micros(there(value)?).ok_or_else(|| corrupt("a moment out of range"))
    }
}

impl Cell for Decimal {
    type Physical = Int64Type;
    const SHAPE: &'static str = "INT64 {} (DECIMAL (18, 4))";

    fn value(&self) -> Option<i64> {
        let mut amount = *self;
        amount.rescale(AMOUNT_SCALE);
        // The table's column has 18 digits, which fit.
        i64::try_from(amount.mantissa()).ok()
    }

    fn of(value: Option<i64>) -> Result<Self, ArchiveError> {
        Ok(Self::new(there(value)?, AMOUNT_SCALE))
    }
}
