//! [`NewFile`]: where a run keeps its jobs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A SQLite file that is not there yet, and goes with this.
#[derive(Debug)]
pub struct NewFile(PathBuf);

impl NewFile {
    /// At this path; what was there goes at once.
    ///
    /// # Errors
    /// What is there cannot be removed, or its folder cannot be made.
    pub fn at(path: &Path) -> Result<Self, String> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        }
        let file = Self(path.to_owned());
        file.remove().map_err(|error| format!("{} cannot be removed: {error}", path.display()))?;
        Ok(file)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// With what SQLite puts beside it.
    fn remove(&self) -> std::io::Result<()> {
        for end in ["", "-wal", "-shm"] {
            let mut path = self.0.clone().into_os_string();
            path.push(end);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What cannot be removed lies in a build directory.
        _ = self.remove();
    }
}
