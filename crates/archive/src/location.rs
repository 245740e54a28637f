//! Where the archive lies, as an operator writes it.

use std::path::{Component, Path, PathBuf};

use url::Url;

/// Where the archive lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket and a prefix on S3 or what speaks like it; credentials, region and endpoint come from the usual `AWS_…`
    /// variables.
    S3 {
        /// The bucket.
        bucket: String,
        /// What every name begins with; may be empty.
        prefix: String,
    },
}

impl Location {
    /// Reads `file:///directory` or `s3://bucket/prefix`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || "is file:///directory or s3://bucket/prefix".to_owned();
        let url: Url = text.parse().map_err(|_| shape())?;
        let more = url.query().is_some() || url.fragment().is_some() || url.port().is_some();
        if more || !url.username().is_empty() || url.password().is_some() {
            return Err(shape());
        }
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Directory).map_err(|()| shape()),
            "s3" if cfg!(feature = "s3") => {
                let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(shape)?;
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: url.path().trim_matches('/').to_owned() })
            }
            "s3" => Err("names S3, which this program was built without".to_owned()),
            _ => Err(shape()),
        }
    }

    /// A directory, which need not be there yet.
    pub fn directory(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        // Names within the archive hold no `..`.
        let mut directory = PathBuf::new();
        for part in absolute.components() {
            if part == Component::ParentDir {
                // Above where a link leads to, not above the link.
                directory = std::fs::canonicalize(&directory).unwrap_or(directory);
                directory.pop();
            } else {
                directory.push(part);
            }
        }
        Self::Directory(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_or_a_bucket_is_named_by_its_address() {
        assert_eq!(Location::parse("file:///var/archive"), Ok(Location::Directory("/var/archive".into())));
        let s3 = Location::S3 { bucket: "books".to_owned(), prefix: "syncwatch/archive".to_owned() };
        assert_eq!(Location::parse("s3://books/syncwatch/archive/"), Ok(s3));
        for text in ["", "archive", "http://books/x", "file://elsewhere/x", "s3://", "s3://user@books", "file:///x?y"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
        let above = Location::directory(Path::new("/nowhere/at/all/../archive"));
        assert_eq!(above, Location::Directory("/nowhere/at/archive".into()));
        for text in ["s3://:secret@books/x", "s3://books:9000/x", "file:///x#y"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }
}
