//! Images: rows follow what is seen; a row that is not seen any more stays.

use model::{Image, ImageId};
use provider::{Batch, ImageView};
use store::Change;

use super::Observer;

impl Observer {
    /// An image is the same one when its reference is, or else its name: a
    /// template that was made anew under its old name goes on as that image.
    pub(super) async fn take_images(&self, batch: &Batch) {
        let mut known = self.core.read_model.images();
        known.retain(|image| image.provider == self.provider);
        for view in &batch.images {
            let row = known
                .iter()
                .find(|image| image.native == view.native)
                .or_else(|| known.iter().find(|image| image.name == view.name));
            let id = match row {
                Some(image) if same(image, view) => continue,
                Some(image) => image.id,
                None => ImageId::generate(&*self.core.clock, &*self.core.random),
            };
            let change = Change::PutImage(Box::new(self.image(id, view)));
            // One that cannot be written must not hide the others.
            if let Err(error) = self.core.store.commit(vec![change]).await {
                tracing::warn!(image = view.name, %error, "cannot write down an image");
            }
        }
    }

    fn image(&self, id: ImageId, view: &ImageView) -> Image {
        Image {
            id,
            name: view.name.clone(),
            provider: self.provider.clone(),
            size: view.size,
            presence: view.presence.clone(),
            native: view.native.clone(),
            seen_at: self.core.clock.now(),
        }
    }
}

fn same(image: &Image, view: &ImageView) -> bool {
    image.name == view.name
        && image.size == view.size
        && image.presence == view.presence
        && image.native == view.native
}
