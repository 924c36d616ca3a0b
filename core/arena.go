package core

// arena is the memory of one clone: what is copied into it lies side by side, so
// that a clone costs one allocation.
type arena []byte

// clone copies b, with no room behind the copy that is not its own, and keeps the
// difference between nil and empty.
func (a *arena) clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	from := len(*a)
	*a = append(*a, b...)
	return (*a)[from:len(*a):len(*a)]
}

func (a *arena) clonePayload(p Payload) Payload {
	p.Data = a.clone(p.Data)
	p.UTF16 = a.clone(p.UTF16)
	return p
}
