//! (in work)
#![allow(missing_docs)]
use crate::{Result, file::TensorInfo};
#[derive(Debug)]
pub struct NpyFolder;
impl NpyFolder {
    pub fn open(_: &std::path::Path) -> Result<Self> {
        Ok(NpyFolder)
    }
    pub fn tensor(&self, _: &str) -> Option<TensorInfo<'_>> {
        None
    }
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        std::iter::empty()
    }
}
