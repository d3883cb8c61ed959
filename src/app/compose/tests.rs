//! Rules of the compose box.
