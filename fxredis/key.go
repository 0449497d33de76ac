package fxredis

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

const (
	longest = 200 // bytes of a key as it is; longer ones are hashed
	hashed  = "#" // what a hashed key begins with, so no other may
)

// name is the Redis key of key. Different keys have different names.
func (s *Store[K, T]) name(key K) (string, error) {
	text, err := textOf(key)
	if err != nil {
		return "", err
	}
	if len(text) > longest || strings.HasPrefix(text, hashed) {
		sum := sha256.Sum256([]byte(text))
		text = hashed + hex.EncodeToString(sum[:])
	}
	return s.Prefix + text, nil
}

// textOf is an unambiguous text of a key.
func textOf(key any) (string, error) {
	if m, ok := key.(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return "", fmt.Errorf("fxredis: key of type %T: %w", key, err)
		}
		return string(text), nil
	}
	v := reflect.ValueOf(key)
	if v.Kind() == reflect.String {
		return v.String(), nil
	}
	text, ok := spelled(nil, v)
	if !ok {
		return "", fmt.Errorf("fxredis: a key of type %T has no text that another process would find; use a string, or give it MarshalText", key)
	}
	return string(text), nil
}

// spelled appends a value by what it is made of, whatever methods it has. Pointers and the like mean nothing elsewhere.
func spelled(to []byte, v reflect.Value) (text []byte, ok bool) {
	switch {
	case v.Kind() == reflect.String:
		return strconv.AppendQuote(to, v.String()), true
	case v.Kind() == reflect.Bool:
		return strconv.AppendBool(to, v.Bool()), true
	case v.CanInt():
		return strconv.AppendInt(to, v.Int(), 10), true
	case v.CanUint() && v.Kind() != reflect.Uintptr:
		return strconv.AppendUint(to, v.Uint(), 10), true
	case v.CanFloat():
		return strconv.AppendFloat(to, v.Float(), 'g', -1, 64), true
	case v.Kind() == reflect.Struct:
		return spelledAll(to, v.NumField(), v.Field)
	case v.Kind() == reflect.Array:
		return spelledAll(to, v.Len(), v.Index)
	}
	return nil, false
}

func spelledAll(to []byte, n int, part func(int) reflect.Value) (text []byte, ok bool) {
	to, ok = append(to, '{'), true
	for i := 0; i < n && ok; i++ {
		to, ok = spelled(to, part(i))
		to = append(to, ',')
	}
	return append(to, '}'), ok
}
