//! The devices that the CUDA driver (libcuda) reports, in libtorch's order: like libtorch, the driver
//! respects `CUDA_VISIBLE_DEVICES` and MIG slices of GPUs.

use fathom_protocol::CudaDevice;
use libloading::Library;
use std::ffi::{CStr, c_char, c_int};

/// `CUresult`.
type Status = c_int;

const SUCCESS: Status = 0;
/// `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: Status = 100;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// The loaded library `libcuda.so.1`.
struct Driver(Library);

/// The CUDA devices that are visible to this process.
///
/// # Errors
/// If there is no driver, or it returns an error; with the driver's message.
pub(super) fn devices() -> Result<Vec<CudaDevice>, String> {
    // SAFETY: loading runs the initialisers of the driver, which libtorch loads too.
    let library = unsafe { Library::new("libcuda.so.1") };
    let driver = Driver(library.map_err(|_| "there is no CUDA driver (libcuda.so.1)".to_owned())?);
    match driver
        .call::<unsafe extern "C" fn(u32) -> Status>(b"cuInit", |init| unsafe { init(0) })?
    {
        SUCCESS => {}
        NO_DEVICE => return Ok(Vec::new()),
        status => {
            return Err(format!("the CUDA driver does not start: {}", driver.message(status)));
        }
    }
    let count = driver.number(|count| {
        // SAFETY: cuDeviceGetCount writes the number of devices to `count`.
        driver
            .call::<unsafe extern "C" fn(*mut c_int) -> Status>(b"cuDeviceGetCount", |get| unsafe {
                get(count)
            })
    })?;
    (0..count).map(|index| driver.device(index)).collect()
}

impl Driver {
    /// Calls a function of the driver's interface, which has the signature `F`.
    fn call<F>(&self, name: &[u8], call: impl FnOnce(&F) -> Status) -> Result<Status, String> {
        // SAFETY: the names and signatures of the driver's interface never change; every caller
        // passes the documented signature.
        let function = unsafe { self.0.get::<F>(name) };
        Ok(call(&*function.map_err(|error| error.to_string())?))
    }

    fn checked(&self, status: Status) -> Result<(), String> {
        if status == SUCCESS { Ok(()) } else { Err(self.message(status)) }
    }

    /// The driver's message for a status.
    fn message(&self, status: Status) -> String {
        let mut text: *const c_char = std::ptr::null();
        type GetErrorString = unsafe extern "C" fn(Status, *mut *const c_char) -> Status;
        // SAFETY: cuGetErrorString sets the pointer to a constant text, or leaves it null.
        let found = self.call::<GetErrorString>(b"cuGetErrorString", |get| unsafe {
            get(status, &raw mut text)
        });
        if found != Ok(SUCCESS) || text.is_null() {
            return format!("error {status}");
        }
        // SAFETY: the text is a constant of the driver, which stays loaded until `self` is dropped.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// The number that a function of the driver writes.
    fn number(
        &self,
        get: impl FnOnce(*mut c_int) -> Result<Status, String>,
    ) -> Result<c_int, String> {
        let mut number = 0;
        let status = get(&raw mut number)?;
        self.checked(status)?;
        Ok(number)
    }

    /// The device with this index.
    fn device(&self, index: c_int) -> Result<CudaDevice, String> {
        type Get = unsafe extern "C" fn(*mut c_int, c_int) -> Status;
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> Status;
        type Memory = unsafe extern "C" fn(*mut usize, c_int) -> Status;
        type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Status;
        type Uuid = unsafe extern "C" fn(*mut [u8; 16], c_int) -> Status;
        // SAFETY (of this call and those below): each function writes to a variable of its type, or
        // at most the number of bytes that it is passed.
        let handle =
            self.number(|at| self.call::<Get>(b"cuDeviceGet", |get| unsafe { get(at, index) }))?;
        let mut name = [0 as c_char; 256];
        let length = name.len() as c_int;
        let status = self.call::<Name>(b"cuDeviceGetName", |get| unsafe {
            get(name.as_mut_ptr(), length, handle)
        })?;
        self.checked(status)?;
        let mut memory = 0;
        let status = self.call::<Memory>(b"cuDeviceTotalMem_v2", |get| unsafe {
            get(&raw mut memory, handle)
        })?;
        self.checked(status)?;
        let [major, minor] = CAPABILITY.map(|which| {
            self.number(|at| {
                self.call::<Attribute>(b"cuDeviceGetAttribute", |get| unsafe {
                    get(at, which, handle)
                })
            })
        });
        let mut uuid = [0; 16];
        // Version 2 supports MIG slices.
        let status =
            self.call::<Uuid>(b"cuDeviceGetUuid_v2", |get| unsafe { get(&raw mut uuid, handle) })?;
        self.checked(status)?;
        name[name.len() - 1] = 0;
        // SAFETY: the text is terminated by a zero, at the latest by the one that was set above.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        // The name of a MIG slice says that it is one; its UUID has another prefix.
        let prefix = if name.contains(" MIG ") { "MIG" } else { "GPU" };
        Ok(CudaDevice {
            capability: format!("{}.{}", major?, minor?),
            memory_bytes: memory as u64,
            uuid: format!("{prefix}-{}", hyphenated(&uuid)),
            name,
        })
    }
}

/// Formats a UUID as 8-4-4-4-12 hexadecimal digits.
fn hyphenated(bytes: &[u8; 16]) -> String {
    let digits = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| digits[part].to_owned()).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_hyphens_after_8_12_16_and_20_digits() {
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(hyphenated(&bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
