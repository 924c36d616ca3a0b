package record

// scalar is a string, number, true, false or null in a JSON text.
type scalar struct {
	start, end int
	// key is the member that it belongs to, also through arrays, as written without quotes.
	key string
	// secret: the member, or one that it lies in, holds what lets one in.
	secret bool
	// top: it is a member of the outermost object.
	top bool
}

// scalars calls visit for each scalar of data, which is valid JSON. secret says which members hold what lets
// one in.
func scalars(data []byte, secret func(key string) bool, visit func(scalar)) {
	type level struct {
		key    string
		secret bool
	}
	levels := make([]level, 1, 16)
	for i := 0; i < len(data); {
		here := &levels[len(levels)-1]
		switch data[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		case '{', '[':
			levels = append(levels, *here)
			i++
		case '}', ']':
			levels = levels[:len(levels)-1]
			i++
		case '"':
			start := i
			i = stringEnd(data, i)
			if isKey(data, i) {
				here.key = string(data[start+1 : i-1])
				outer := level{}
				if len(levels) > 1 {
					outer = levels[len(levels)-2]
				}
				here.secret = outer.secret || secret(here.key)
				continue
			}
			visit(scalar{start, i, here.key, here.secret, len(levels) == 2})
		default:
			start := i
			for i < len(data) && data[i] != ',' && data[i] != '}' && data[i] != ']' && data[i] > ' ' {
				i++
			}
			visit(scalar{start, i, here.key, here.secret, len(levels) == 2})
		}
	}
}

// stringEnd returns the end of the string that begins at i.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// isKey reports whether a string that ends at i is the name of a member.
func isKey(data []byte, i int) bool {
	for ; i < len(data); i++ {
		switch data[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return data[i] == ':'
		}
	}
	return false
}
