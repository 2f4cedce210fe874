"""RecBole models: the backbones and the learners on top of them."""
