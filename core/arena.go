package core

// arena is the memory of one clone. All copies share it, so that a clone costs one
// allocation.
type arena []byte

// clone copies b. The copy has no spare capacity, so that appending to it cannot overwrite
// the next one. nil stays nil, and empty stays empty.
func (a *arena) clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	if *a == nil {
		*a = arena{} // what is empty must not become nil
	}
	from := len(*a)
	*a = append(*a, b...)
	return (*a)[from:len(*a):len(*a)]
}

// cloneAll copies all of list, in an array of their own.
func (a *arena) cloneAll(list [][]byte) [][]byte {
	if list == nil {
		return nil
	}
	copies := make([][]byte, len(list))
	for i, b := range list {
		copies[i] = a.clone(b)
	}
	return copies
}

func (a *arena) clonePayload(p Payload) Payload {
	p.Data = a.clone(p.Data)
	p.UTF16 = a.clone(p.UTF16)
	return p
}
