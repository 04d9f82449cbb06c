//! A file that is new under `page/` has to get into the binary, too.

fn main() {
    println!("cargo::rerun-if-changed=page");
}
