package fxredis

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"reflect"
	"time"
)

// What is stored is a header and the encoded value:
//
//	0   2  "fx"
//	2   1  the version of this layout
//	3   8  the shape of the type
//	11  8  when the value was good, in Unix milliseconds
//	19  4  the CRC-32C of all but itself
//	23     the value
//
// Numbers are big-endian.
const (
	magic      = "fx"
	layout     = 1
	atShape    = 3
	atTime     = 11
	atSum      = 19
	headerSize = 23
)

// skew is how far the clock of another host may be ahead.
const skew = time.Minute

var (
	errForeign = errors.New("not written by fxredis, or by a newer one")
	errShape   = errors.New("written for another type, or another version of it")
	errDamaged = errors.New("damaged or cut off")
	errLarge   = errors.New("larger than MaxBytes")
	errFuture  = errors.New("written in the future: compare the clocks of the hosts")
)

// pack puts the header before an encoded value.
func (s *Store[K, T]) pack(payload []byte, at time.Time) []byte {
	b := make([]byte, headerSize, headerSize+len(payload))
	copy(b, magic)
	b[len(magic)] = layout
	binary.BigEndian.PutUint64(b[atShape:], s.shape)
	binary.BigEndian.PutUint64(b[atTime:], uint64(at.UnixMilli()))
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[atSum:], sum(b))
	return b
}

// unpack takes nothing for granted.
func (s *Store[K, T]) unpack(b []byte) (payload []byte, at time.Time, err error) {
	switch {
	case len(b) < headerSize || string(b[:len(magic)]) != magic || b[len(magic)] != layout:
		return nil, at, errForeign
	case len(b) > headerSize+s.maxBytes():
		return nil, at, errLarge
	case binary.BigEndian.Uint32(b[atSum:]) != sum(b):
		return nil, at, errDamaged
	case binary.BigEndian.Uint64(b[atShape:]) != s.shape:
		return nil, at, errShape
	}
	at = time.UnixMilli(int64(binary.BigEndian.Uint64(b[atTime:])))
	if time.Until(at) > skew {
		return nil, at, errFuture
	}
	return b[headerSize:], at, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is of all but the place of the sum itself.
func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:atSum], castagnoli), castagnoli, b[headerSize:])
}

func (s *Store[K, T]) encode(v T) ([]byte, error) {
	if s.Encode != nil {
		return s.Encode(v)
	}
	return json.Marshal(v)
}

func (s *Store[K, T]) decode(payload []byte) (v T, err error) {
	if s.Decode != nil {
		return s.Decode(payload)
	}
	err = json.Unmarshal(payload, &v)
	return v, err
}

// shapeOf is a number for what T is made of: JSON would fill a type from the value of another and leave out what does
// not fit. Names of fields, their tags and kinds count, names of types do not, so that a type may move.
func shapeOf[T any](version int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d:", version)
	describe(h, reflect.TypeFor[T](), map[reflect.Type]int{})
	return h.Sum64()
}

func describe(w io.Writer, t reflect.Type, seen map[reflect.Type]int) {
	if n, again := seen[t]; again {
		fmt.Fprintf(w, "^%d;", n)
		return
	}
	seen[t] = len(seen)
	fmt.Fprintf(w, "%v", t.Kind())
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			fmt.Fprintf(w, ",%s %q ", f.Name, f.Tag)
			describe(w, f.Type, seen)
		}
	case reflect.Map:
		describe(w, t.Key(), seen)
		describe(w, t.Elem(), seen)
	case reflect.Array:
		fmt.Fprintf(w, "[%d]", t.Len())
		describe(w, t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Chan:
		describe(w, t.Elem(), seen)
	}
	fmt.Fprint(w, ";")
}
