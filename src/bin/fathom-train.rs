fn main() {
    println!("{}", fathom::train::probe());
}
