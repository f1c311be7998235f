//! Images: get and list.

use std::sync::Arc;

use model::{Caller, Error, Image, ImageId};

use crate::house::House;

impl House {
    /// All images, from memory. Every project may use every image.
    pub fn images(&self, _caller: &Caller) -> Vec<Arc<Image>> {
        self.core.read_model.images()
    }

    /// An image, from memory.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn image(&self, _caller: &Caller, id: ImageId) -> Result<Arc<Image>, Error> {
        self.core.read_model.image(id).ok_or_else(|| Error::not_found("image", id))
    }
}
