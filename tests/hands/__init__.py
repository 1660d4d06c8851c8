"""What callers hand in may do anything, at every call: nothing is paid twice, lost or left."""
