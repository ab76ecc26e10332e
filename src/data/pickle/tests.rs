use super::*;

/// A text as Python 2 writes it.
fn short(text: &[u8]) -> Vec<u8> {
    [&[b'U', text.len() as u8], text].concat()
}

fn number(number: usize) -> Vec<u8> {
    [&b"J"[..], &(number as u32).to_le_bytes()].concat()
}

/// A pickle of an array of images and lists of labels, with the instructions of the official files.
pub fn pickled(rows: usize, pixels: &[u8], labels: &[(&str, &[u8])]) -> Vec<u8> {
    let columns = pixels.len() / rows;
    let mut out = b"\x80\x02}q\x01(".to_vec();
    out.extend(short(b"batch_label"));
    out.extend(short(b"testing batch 1 of 1"));
    for (name, labels) in labels {
        out.extend(short(name.as_bytes()));
        out.extend(b"]q\x04(");
        labels.iter().for_each(|label| out.extend([b'K', *label]));
        out.push(b'e');
    }
    out.extend(short(b"data"));
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\0\x85U\x01b\x87Rq\x09(K\x01");
    out.extend([number(rows), number(columns)].concat());
    out.extend(b"\x86cnumpy\ndtype\nU\x02u1K\0K\x01\x87Rq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
    out.extend((pixels.len() as u32).to_le_bytes());
    out.extend(pixels);
    out.extend(b"tb");
    out.extend(short(b"filenames"));
    out.extend(b"](");
    out.extend(short(b"leptodactylus_pentadactylus_s_000004.png"));
    out.extend(b"eu.");
    out
}

/// What NumPy 2 writes for rows 0..6 and 6..12 with fine labels 3 and 7, by protocol.
const BY_PROTOCOL: [&[u8]; 3] = [
    b"\x80\x02}q\x00(X\x04\x00\x00\x00dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04c_codecs\nencode\nq\x05X\x01\x00\x00\x00bq\x06X\x06\x00\x00\x00latin1q\x07\x86q\x08Rq\t\x87q\nRq\x0b(K\x01K\x02K\x06\x86q\x0ccnumpy\ndtype\nq\rX\x02\x00\x00\x00u1q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00|q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89h\x05X\x0c\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0bq\x13h\x07\x86q\x14Rq\x15tq\x16bX\x0b\x00\x00\x00fine_labelsq\x17]q\x18(K\x03K\x07eu.",
    b"\x80\x03}q\x00(X\x04\x00\x00\x00dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x06\x86q\x08cnumpy\ndtype\nq\tX\x02\x00\x00\x00u1q\n\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00|q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89C\x0c\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0bq\x0ftq\x10bX\x0b\x00\x00\x00fine_labelsq\x11]q\x12(K\x03K\x07eu.",
    b"\x80\x04\x95\xfa\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x06\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x0c\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x94t\x94b\x8c\x0bfine_labels\x94]\x94(K\x03K\x07eu.",
];

fn fails(bytes: &[u8]) -> String {
    Batch::parse(Path::new("data_batch_1"), bytes).unwrap_err().to_string()
}

#[test]
fn arrays_and_labels_of_all_protocols_are_read() {
    let pixels: Vec<u8> = (0..12).collect();
    for bytes in BY_PROTOCOL {
        let batch = Batch::parse(Path::new("f"), bytes).unwrap();
        assert_eq!((batch.shape, &batch.pixels[..]), ([2, 6], &pixels[..]));
        assert_eq!(batch.labels["fine_labels"], [3, 7]);
    }
    let bytes = pickled(2, &pixels, &[("labels", &[1, 200]), ("coarse_labels", &[4, 5])]);
    let batch = Batch::parse(Path::new("f"), &bytes).unwrap();
    assert!(matches!(batch.pixels, Cow::Borrowed(_)), "pixels are copied");
    assert_eq!((batch.shape, &batch.pixels[..]), ([2, 6], &pixels[..]));
    assert_eq!(
        (&batch.labels["labels"][..], &batch.labels["coarse_labels"][..]),
        (&[1, 200][..], &[4, 5][..])
    );
    // The flag before the pixels says that the first index changes fastest.
    let at = bytes.windows(2).position(|two| two == b"\x89T").unwrap();
    let mut by_columns = bytes.clone();
    by_columns[at] = 0x88;
    let batch = Batch::parse(Path::new("f"), &by_columns).unwrap();
    assert_eq!(&batch.pixels[..], [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
}

#[test]
fn everything_that_could_be_executed_is_refused() {
    let calls = [
        &b"\x80\x02cos\nsystem\nU\x04echo\x85R."[..],
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    ];
    assert!(fails(calls[0]).contains("data_batch_1: byte 2: "), "{}", fails(calls[0]));
    assert!(fails(calls[0]).contains("a reference to os.system"), "{}", fails(calls[0]));
    assert!(fails(calls[1]).contains("a reference to builtins.eval"), "{}", fails(calls[1]));
    // Instances of classes, persistent references, extensions.
    for code in [b'i', b'o', b'P', b'Q', 0x81, 0x82, 0x92] {
        assert!(fails(&[0x80, 2, b'(', code]).contains("byte 3: "), "{code}");
    }
}

#[test]
fn any_cut_or_changed_byte_gives_an_error_or_a_batch() {
    let bytes = pickled(2, &[9; 12], &[("labels", &[1, 2])]);
    for left in 0..bytes.len() {
        assert!(fails(&bytes[..left]).contains("the file ends here"), "{left}");
    }
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(batch) = Batch::parse(Path::new("f"), &changed) {
                assert_eq!(batch.pixels.len(), batch.shape[0] * batch.shape[1]);
            }
        }
    }
    for bytes in [&b"."[..], b"N.", b"}.", b"t.", b"e", b"]]a.", b"h\0."] {
        assert!(Batch::parse(Path::new("f"), bytes).is_err());
    }
}
