package state

// giveToOwner does nothing: a new file has the access list of its directory.
func giveToOwner(string) {}
