package engine

// The lists that a call is in. All is guarded by callTable.mu.
const (
	byCaller = iota // of those that its caller asks
	byAsked         // of those that its answerer was asked
	numLists
)

// callList is a doubly linked list through the calls themselves: one that joins or
// leaves it costs no memory and no search.
type callList struct {
	head *call
	size int
}

// neighbours are those of a call in one list.
type neighbours struct{ next, prev *call }

// push puts c in front of the list, which is the one that c knows as which.
func (l *callList) push(c *call, which int) {
	c.in[which] = neighbours{next: l.head}
	if l.head != nil {
		l.head.in[which].prev = c
	}
	l.head = c
	l.size++
}

// remove takes c out.
func (l *callList) remove(c *call, which int) {
	at := c.in[which]
	if at.prev != nil {
		at.prev.in[which].next = at.next
	} else {
		l.head = at.next
	}
	if at.next != nil {
		at.next.in[which].prev = at.prev
	}
	c.in[which] = neighbours{}
	l.size--
}
