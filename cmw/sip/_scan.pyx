# cython: language_level=3
"""The scanner, compiled: the head of a message as offsets into its bytes. `_scan_pure.py` says the same plainly.

A header costs a row of integers until somebody reads it; then its value becomes a `str`, once. What is written again
as it came (the Via of a response) is copied from the bytes that came.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF, Py_XINCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove

from cmw.sip._scan_pure import Headers as _PlainHeaders
from cmw.sip.grammar import MAX_PARAMS as _PARAMS
from cmw.sip.header_names import COMPACT_FORMS as _COMPACT_FORMS
from cmw.sip.header_names import KNOWN_NAMES as _KNOWN_NAMES
from cmw.sip.header_names import LIST_HEADERS as _LIST_HEADERS
from cmw.sip.header_names import MAX_HEADERS as _HEADERS
from cmw.sip.header_names import MAX_LINE_BYTES as _LINE_BYTES
from cmw.sip.header_names import SINGLE_HEADERS as _SINGLE_HEADERS
from cmw.sip.header_names import SPELLINGS as _SPELLINGS
from cmw.sip.header_names import canonical_name, find_repeated, read_row, split_tokens, unfold

IMPLEMENTATION = "compiled"

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    char* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    str PyUnicode_FromStringAndSize(const char* text, Py_ssize_t size)

cdef enum:
    UNKNOWN = -1
    BUCKETS = 1024        # a power of two, many times the names that are known
    MOST_NAMES = 250
    FIRST_ROWS = 20

# the alphabet: what a byte may be part of. Source: RFC 3261 25.1
cdef enum:
    TOKEN = 1
    DIGIT = 2
    HOST = 4              # host names, with the underscore that is let pass
    PARAM_VALUE = 8       # an unquoted value of a header parameter
    URI_CHAR = 16         # inside of angle brackets
    SPEC_CHAR = 32        # a URI without angle brackets
    USER = 64             # a user part without escapes
    URI_PARAM = 128       # a name or value of a URI parameter, without escapes

cdef struct Row:
    int known             # index into the known names, or UNKNOWN
    PyObject* name        # owned, or NULL while it is only bytes; always NULL when the name is known
    PyObject* value       # owned, or NULL while it is only bytes
    int name_start        # offsets into the datagram, for what is only bytes
    int name_end
    int start
    int end

cdef struct ViaParts:  # offsets into the text of an ordinary Via
    Py_ssize_t host       # where sent-by begins
    Py_ssize_t host_end
    Py_ssize_t sent_by_end
    int port              # 0 for none

cdef struct AddressParts:  # offsets into the text of an ordinary address
    Py_ssize_t display
    Py_ssize_t display_end
    Py_ssize_t uri
    Py_ssize_t uri_end
    Py_ssize_t params

cdef unsigned char _kinds[256]
cdef unsigned char _lower[256]
cdef int _letters[256]
cdef int _buckets[BUCKETS]
cdef const char* _name_bytes[MOST_NAMES]
cdef int _name_sizes[MOST_NAMES]
cdef bint _is_list[MOST_NAMES]
cdef bint _is_single[MOST_NAMES]
cdef Py_ssize_t MAX_ROWS = _HEADERS
cdef Py_ssize_t MAX_LINE = _LINE_BYTES
cdef Py_ssize_t MAX_PARAMS = _PARAMS

cdef tuple _names = _KNOWN_NAMES
cdef list _names_as_bytes = [name.encode() for name in _KNOWN_NAMES]
cdef dict _ids = {spelling: _KNOWN_NAMES.index(name) for spelling, name in _SPELLINGS.items()}
cdef int CONTENT_LENGTH = _ids["Content-Length"]
cdef int VIA = _ids["Via"]
cdef int FROM = _ids["From"]
cdef int TO = _ids["To"]
cdef int CALL_ID = _ids["Call-ID"]
cdef int CSEQ = _ids["CSeq"]
cdef int TIMESTAMP = _ids["Timestamp"]


cdef int _mark(bytes chars, int kind) except -1:
    cdef unsigned char char
    for char in chars:
        _kinds[char] |= kind
    return 0


cdef int _prepare() except -1:
    """Fill the tables; once, at import."""
    cdef int index
    cdef unsigned int at
    cdef bytes letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    cdef bytes digits = b"0123456789"
    if len(_names) > MOST_NAMES:
        raise AssertionError("more names than MOST_NAMES")
    _mark(letters + digits + b"-.!%*_+`'~", TOKEN)
    _mark(digits, DIGIT)
    _mark(letters + digits + b"-._", HOST)
    _mark(letters + digits + b"-_.!~*'()&=+$,;?/#", USER)
    _mark(letters + digits + b"-_.!~*'()[]/:&+$", URI_PARAM)
    for index in range(0x21, 0x7f):
        if index not in b'"<>':
            _kinds[index] |= URI_CHAR
        if index not in b'",;<>?':
            _kinds[index] |= SPEC_CHAR
        if index not in b'",;<>':
            _kinds[index] |= PARAM_VALUE
    for index in range(256):
        _lower[index] = index + 32 if 65 <= index <= 90 else index
        _letters[index] = UNKNOWN
    for letter, name in _COMPACT_FORMS.items():
        _letters[ord(letter)] = _letters[ord(letter.upper())] = _ids[name]
    for index in range(BUCKETS):
        _buckets[index] = UNKNOWN
    for index in range(len(_names)):
        _name_bytes[index] = PyBytes_AS_STRING(_names_as_bytes[index])
        _name_sizes[index] = len(_names[index])
        _is_list[index] = _names[index] in _LIST_HEADERS
        _is_single[index] = _names[index] in _SINGLE_HEADERS
        at = _hash(_name_bytes[index], _name_sizes[index])
        while _buckets[at] != UNKNOWN:
            at = (at + 1) & (BUCKETS - 1)
        _buckets[at] = index
    return 0


cdef unsigned int _hash(const char* text, Py_ssize_t size) noexcept nogil:
    cdef unsigned int value = <unsigned int> size
    cdef Py_ssize_t index
    for index in range(size):
        value = value * 31 + _lower[<unsigned char> text[index]]
    return (value ^ (value >> 11)) & (BUCKETS - 1)


cdef int _find_known(const char* text, Py_ssize_t size) noexcept nogil:
    """Return the index of a header name in any letter case, UNKNOWN if it has no spelling of its own."""
    cdef unsigned int at
    cdef int index
    cdef Py_ssize_t place
    if size == 1:
        return _letters[<unsigned char> text[0]]
    at = _hash(text, size)
    while True:
        index = _buckets[at]
        if index == UNKNOWN:
            return UNKNOWN
        if _name_sizes[index] == size:
            for place in range(size):
                if _lower[<unsigned char> text[place]] != _lower[<unsigned char> _name_bytes[index][place]]:
                    break
            else:
                return index
        at = (at + 1) & (BUCKETS - 1)


cdef inline bint _is_all(const char* text, Py_ssize_t start, Py_ssize_t end, int kind) noexcept nogil:
    """Tell whether every byte of a stretch that is not empty is of a kind."""
    cdef Py_ssize_t index
    for index in range(start, end):
        if not _kinds[<unsigned char> text[index]] & kind:
            return False
    return start < end


cdef inline str _text(const char* data, Py_ssize_t start, Py_ssize_t end):
    return PyUnicode_DecodeUTF8(data + start, end - start, "surrogateescape")


@cython.final
@cython.freelist(64)
cdef class Headers:
    """Header rows in their order; names compare without regard to case and compact forms are folded to long ones."""

    cdef Row* _rows
    cdef Py_ssize_t _count
    cdef Py_ssize_t _room
    cdef bytes _data      # what the offsets of the rows point into

    __hash__ = None

    def __cinit__(self, rows=()):
        self._rows = NULL
        self._count = 0
        self._room = 0
        self._data = b""

    def __init__(self, rows=()):
        if rows != ():
            self.extend(rows)

    def __dealloc__(self):
        cdef Py_ssize_t index
        for index in range(self._count):
            Py_XDECREF(self._rows[index].name)
            Py_XDECREF(self._rows[index].value)
        free(self._rows)

    # rows

    cdef Row* _insert(self, Py_ssize_t at) except NULL:
        """Make room for a row at `at` and return it, empty."""
        cdef Row* rows
        if self._count == self._room:
            rows = <Row*> realloc(self._rows, (self._room * 2 or FIRST_ROWS) * sizeof(Row))
            if rows == NULL:
                raise MemoryError
            self._rows = rows
            self._room = self._room * 2 or FIRST_ROWS
        if at < self._count:
            memmove(&self._rows[at + 1], &self._rows[at], (self._count - at) * sizeof(Row))
        self._count += 1
        self._rows[at].known = UNKNOWN
        self._rows[at].name = self._rows[at].value = NULL
        self._rows[at].start = self._rows[at].end = self._rows[at].name_start = self._rows[at].name_end = 0
        return &self._rows[at]

    cdef int _put(self, Py_ssize_t at, int known, str name, str value) except -1:
        """Insert a row of objects; `name` counts when it is not a known one."""
        cdef Row* row = self._insert(at)
        row.known = known
        if known == UNKNOWN:
            Py_INCREF(name)
            row.name = <PyObject*> name
        Py_INCREF(value)
        row.value = <PyObject*> value
        return 0

    cdef int _drop(self, Py_ssize_t at) except -1:
        cdef PyObject* name = self._rows[at].name
        cdef PyObject* value = self._rows[at].value
        self._count -= 1
        memmove(&self._rows[at], &self._rows[at + 1], (self._count - at) * sizeof(Row))
        Py_XDECREF(name)
        Py_XDECREF(value)
        return 0

    cdef int _change(self, Py_ssize_t at, str value) except -1:
        cdef PyObject* old = self._rows[at].value
        Py_INCREF(value)
        self._rows[at].value = <PyObject*> value
        Py_XDECREF(old)
        return 0

    cdef str _name(self, Py_ssize_t at):
        cdef Row* row = &self._rows[at]
        cdef str name
        if row.known != UNKNOWN:
            return <str> _names[row.known]
        if row.name == NULL:
            name = canonical_name(_text(PyBytes_AS_STRING(self._data), row.name_start, row.name_end))
            Py_INCREF(name)
            row.name = <PyObject*> name
        return <str> row.name

    cdef str _value(self, Py_ssize_t at):
        cdef Row* row = &self._rows[at]
        cdef str value
        if row.value == NULL:
            value = _text(PyBytes_AS_STRING(self._data), row.start, row.end)
            Py_INCREF(value)
            row.value = <PyObject*> value
        return <str> row.value

    cdef Py_ssize_t _find(self, int known, str name, Py_ssize_t start) except -2:
        """Return the index of the next row of a name, -1 if there is none."""
        cdef Py_ssize_t index
        for index in range(start, self._count):
            if self._rows[index].known == known and (known != UNKNOWN or self._name(index) == name):
                return index
        return -1

    # changes

    def add(self, str name not None, value):
        """Append a row."""
        cdef str canonical = _canonical(name)
        self._put(self._count, _id(canonical), canonical, _checked(value))

    def add_first(self, str name not None, value):
        """Put a row before all others, as a proxy does with its Via."""
        cdef str canonical = _canonical(name)
        self._put(0, _id(canonical), canonical, _checked(value))

    def extend(self, rows):
        """Append rows."""
        cdef str canonical
        cdef Py_ssize_t kept = self._count
        try:
            for name, value in rows:
                canonical = _canonical(name)
                self._put(self._count, _id(canonical), canonical, _checked(value))
        except BaseException:
            while self._count > kept:
                self._drop(self._count - 1)
            raise

    def set(self, str name not None, value):
        """Make `value` the only one of `name`, where the first of them stood or else at the end."""
        cdef str canonical = _canonical(name)
        cdef int known = _id(canonical)
        cdef Py_ssize_t at = self._find(known, canonical, 0)
        cdef Py_ssize_t other
        if at < 0:
            self._put(self._count, known, canonical, _checked(value))
            return
        self._change(at, _checked(value))
        other = self._find(known, canonical, at + 1)
        while other >= 0:
            self._drop(other)
            other = self._find(known, canonical, other)

    def replace_first(self, str name not None, value):
        """Change the first row of `name` only, as a server does with the top Via; append if there is none."""
        cdef str canonical = _canonical(name)
        cdef int known = _id(canonical)
        cdef Py_ssize_t at = self._find(known, canonical, 0)
        if at < 0:
            self._put(self._count, known, canonical, _checked(value))
        else:
            self._change(at, _checked(value))

    def remove(self, str name not None):
        """Drop every row of `name`; nothing happens if there is none."""
        cdef str canonical = _canonical(name)
        cdef int known = _id(canonical)
        cdef Py_ssize_t at = self._find(known, canonical, 0)
        while at >= 0:
            self._drop(at)
            at = self._find(known, canonical, at)

    def remove_first(self, str name not None):
        """Drop the first row of `name` and return its value, None if there is none."""
        cdef str canonical = _canonical(name)
        cdef Py_ssize_t at = self._find(_id(canonical), canonical, 0)
        cdef str value
        if at < 0:
            return None
        value = self._value(at)
        self._drop(at)
        return value

    # looks

    def get(self, str name not None):
        """Return the first value of `name`, None if there is none."""
        cdef str canonical
        cdef Py_ssize_t at
        cdef int known = _id(name)
        if known == UNKNOWN:
            canonical = _canonical(name)
            at = self._find(_id(canonical), canonical, 0)
        else:
            at = self._find(known, name, 0)
        return None if at < 0 else self._value(at)

    def get_all(self, str name not None):
        """Return every value of `name` in order, an empty list if there is none."""
        cdef str canonical = _canonical(name)
        cdef int known = _id(canonical)
        cdef list values = []
        cdef Py_ssize_t at = self._find(known, canonical, 0)
        while at >= 0:
            values.append(self._value(at))
            at = self._find(known, canonical, at + 1)
        return values

    def count(self, str name not None):
        """Return how many rows of `name` there are."""
        cdef str canonical = _canonical(name)
        cdef int known = _id(canonical)
        cdef Py_ssize_t found = 0
        cdef Py_ssize_t at = self._find(known, canonical, 0)
        while at >= 0:
            found += 1
            at = self._find(known, canonical, at + 1)
        return found

    def get_tokens(self, str name not None):
        """Return the elements of a comma-separated header such as Allow or Supported, over all its rows."""
        return split_tokens(self.get_all(name))

    def select(self, names):
        """Return a copy that has only the rows of `names`, which are canonical."""
        cdef Py_ssize_t index
        cdef Headers chosen = Headers.__new__(Headers)
        chosen._data = self._data
        for index in range(self._count):
            if self._name(index) in names:
                chosen._take(&self._rows[index])
        return chosen

    def copy(self):
        """Return an independent copy."""
        cdef Py_ssize_t index
        cdef Headers other = Headers.__new__(Headers)
        other._data = self._data
        for index in range(self._count):
            other._take(&self._rows[index])
        return other

    cdef int _take(self, Row* row) except -1:
        """Append a copy of a row whose offsets point into the same bytes."""
        cdef Row* mine
        cdef Row copied = row[0]
        mine = self._insert(self._count)
        mine[0] = copied
        Py_XINCREF(mine.name)
        Py_XINCREF(mine.value)
        return 0

    @property
    def size_bytes(self):
        """Return about how many bytes names and values have."""
        cdef Py_ssize_t total = 0
        cdef Py_ssize_t index
        for index in range(self._count):
            total += self._size_of_name(index)
            if self._rows[index].value == NULL:
                total += self._rows[index].end - self._rows[index].start
            else:
                total += PyUnicode_GET_LENGTH(<object> self._rows[index].value)
        return total

    cdef Py_ssize_t _size_of_name(self, Py_ssize_t at) except -1:
        if self._rows[at].known != UNKNOWN:
            return _name_sizes[self._rows[at].known]
        return PyUnicode_GET_LENGTH(self._name(at))

    cdef list _as_list(self):
        cdef Py_ssize_t index
        return [(self._name(index), self._value(index)) for index in range(self._count)]

    def __iter__(self):
        return iter(self._as_list())

    def __len__(self):
        return self._count

    def __contains__(self, name):
        cdef str canonical
        if not isinstance(name, str):
            return False
        canonical = _canonical(name)
        return self._find(_id(canonical), canonical, 0) >= 0

    def __eq__(self, other):
        return isinstance(other, Headers) and self._as_list() == (<Headers> other)._as_list()

    def __repr__(self):
        return f"Headers({self._as_list()!r})"

    # values of the usual shape, without taking all of them apart

    cdef const char* _first(self, int known, Py_ssize_t* size) noexcept:
        """Return the bytes of the first value of a name; NULL when there is none, or not as plain ASCII."""
        cdef Py_ssize_t index
        cdef Row* row
        for index in range(self._count):
            row = &self._rows[index]
            if row.known != known:
                continue
            if row.value == NULL:
                size[0] = row.end - row.start
                return PyBytes_AS_STRING(self._data) + row.start
            if not PyUnicode_IS_COMPACT_ASCII(<object> row.value):
                return NULL
            size[0] = PyUnicode_GET_LENGTH(<object> row.value)
            return PyUnicode_DATA(<object> row.value)
        return NULL

    cdef bint _is_usual(self, const char* method, Py_ssize_t method_size) except -1:
        """Tell whether Via, From, To, Call-ID and CSeq are there and ordinary.

        Args:
            method: what the CSeq has to name; NULL for any.
        """
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t at
        cdef long number
        cdef ViaParts via
        cdef AddressParts address
        cdef const char* text = self._first(VIA, &size)
        if text == NULL or not _read_via(text, size, &via):
            return False
        text = self._first(FROM, &size)
        if text == NULL or not _read_address(text, size, &address):
            return False
        text = self._first(TO, &size)
        if text == NULL or not _read_address(text, size, &address):
            return False
        text = self._first(CALL_ID, &size)
        if text == NULL or size == 0:
            return False
        for at in range(size):
            if not 33 <= <unsigned char> text[at] <= 126:
                return False
        text = self._first(CSEQ, &size)
        at = _read_cseq(text, size, &number) if text != NULL else -1
        if at < 0:
            return False
        return method == NULL or (size - at - 1 == method_size and memcmp(text + at + 1, method, method_size) == 0)

    cdef Py_ssize_t _length(self, Py_ssize_t rest) except -2:
        """Return how long the body is, -1 when that has to be read thoroughly."""
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t at
        cdef Py_ssize_t value = 0
        cdef const char* text
        if self._find(CONTENT_LENGTH, "", 0) < 0:
            return rest
        text = self._first(CONTENT_LENGTH, &size)
        if text == NULL or not 0 < size < 7 or not _is_all(text, 0, size, DIGIT):
            return -1
        for at in range(size):
            value = value * 10 + text[at] - 48
        return value if value <= rest else -1

    def plain_tag(self, str name not None):
        """Return the tag of the first value of `name`, "" when it has none; None when it has to be read thoroughly."""
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t start
        cdef Py_ssize_t end = 0
        cdef AddressParts parts
        cdef int known = _id(name)
        cdef const char* text = self._first(known, &size)
        if known == UNKNOWN or text == NULL or not _read_address(text, size, &parts):
            return None
        start = _find_param(text, parts.params, size, b"tag", 3, &end)
        return "" if start < 0 else _cut(text, start, end)

    def plain_seq(self):
        """Return the number of the CSeq; None when it has to be read thoroughly."""
        cdef Py_ssize_t size = 0
        cdef long number = 0
        cdef const char* text = self._first(CSEQ, &size)
        if text == NULL or _read_cseq(text, size, &number) < 0:
            return None
        return number

    def plain_client_key(self):
        """Return the key of a response and its sent-by as it is written; None when they have to be read thoroughly.

        The key is the branch and the method of the CSeq, with a space between.
        """
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t seq_size = 0
        cdef Py_ssize_t start
        cdef Py_ssize_t at
        cdef Py_ssize_t end = 0
        cdef long number
        cdef ViaParts via
        cdef const char* seq = self._first(CSEQ, &seq_size)
        cdef const char* text = self._first(VIA, &size)
        cdef char* out
        if text == NULL or seq == NULL or not _read_via(text, size, &via):
            return None
        at = _read_cseq(seq, seq_size, &number)
        start = _find_param(text, via.sent_by_end, size, b"branch", 6, &end)
        if at < 0 or start < 0 or start == end:
            return None
        key = PyUnicode_New(end - start + seq_size - at, 127)
        out = PyUnicode_DATA(key)
        memcpy(out, text + start, end - start)
        memcpy(out + end - start, seq + at, seq_size - at)
        return key, _cut(text, via.host, via.sent_by_end)

    def plain_server_key(self, str method not None):
        """Return the key of a request: branch and sent-by in lower case, the method; None to read it thoroughly."""
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t start
        cdef Py_ssize_t index
        cdef Py_ssize_t end = 0
        cdef Py_ssize_t branch_size
        cdef ViaParts via
        cdef const char* text = self._first(VIA, &size)
        cdef char* out
        if text == NULL or not _read_via(text, size, &via) or not PyUnicode_IS_COMPACT_ASCII(method):
            return None
        start = _find_param(text, via.sent_by_end, size, b"branch", 6, &end)
        branch_size = end - start
        if start < 0 or branch_size <= 7 or memcmp(text + start, b"z9hG4bK", 7) != 0:
            return None
        if via.port == 0 or text[via.host_end + 1] == b"0":
            return None                        # the port has to be written in one way
        size = branch_size + 1 + via.sent_by_end - via.host
        key = PyUnicode_New(size + 1 + PyUnicode_GET_LENGTH(method), 127)
        out = PyUnicode_DATA(key)
        for index in range(branch_size):
            out[index] = _lower[<unsigned char> text[start + index]]
        out[branch_size] = b" "
        for index in range(via.sent_by_end - via.host):
            out[branch_size + 1 + index] = _lower[<unsigned char> text[via.host + index]]
        out[size] = b" "
        memcpy(out + size + 1, PyUnicode_DATA(method), PyUnicode_GET_LENGTH(method))
        return key

    def stamp_plain_via(self, str host not None, int port):
        """Write into an ordinary top Via where it came from, as `Via.stamped` does.

        Returns:
            Whether it is done and the answer goes back there; if not, it has to be read thoroughly.
        """
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t start
        cdef Py_ssize_t end = 0
        cdef Py_ssize_t last = 0
        cdef ViaParts via
        cdef const char* text = self._first(VIA, &size)
        if text == NULL or not _is_plain(host) or not _read_via(text, size, &via):
            return False
        if (via.port and text[via.host_end + 1] == b"0") or not _are_names_low(text, via.sent_by_end, size):
            return False                       # it would be written otherwise than it came
        if _find_param(text, via.sent_by_end, size, b"received", 8, &end) >= 0:
            return False
        if _find_param(text, via.sent_by_end, size, b"maddr", 5, &end) >= 0:
            return False
        start = _find_param(text, via.sent_by_end, size, b"rport", 5, &end)
        if start < 0:
            return via.port == port and PyUnicode_GET_LENGTH(host) == via.host_end - via.host and (
                memcmp(PyUnicode_DATA(host), text + via.host, via.host_end - via.host) == 0
            )
        if text[start - 1] == b"=" or _find_param(text, end, size, b"rport", 5, &last) >= 0:
            return False
        before, after = _cut(text, 0, start), _cut(text, end, size)
        self._change(self._find(VIA, "", 0), f"{before}={port}{after};received={host}")
        return True

    def plain_reply(self, str tag, rows):
        """Return the rows of a response: Via, From, To, Call-ID, CSeq and Timestamp as they stand, `rows` after them.

        Args:
            tag: for To when it has none; None leaves it as it is.
            rows: pairs of name and value.

        Returns:
            None when To has to be read thoroughly.
        """
        cdef Py_ssize_t index
        cdef Py_ssize_t start
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t end = 0
        cdef AddressParts parts
        cdef Headers reply
        cdef int known
        cdef bint is_tagged = tag is None
        cdef const char* text
        if tag is not None:
            text = self._first(TO, &size)
            if text == NULL or not _read_address(text, size, &parts):
                return None
            start = _find_param(text, parts.params, size, b"tag", 3, &end)
            is_tagged = start >= 0
            if start == end or self._find(TO, "", self._find(TO, "", 0) + 1) >= 0:
                return None
        reply = Headers.__new__(Headers)
        reply._data = self._data
        for index in range(self._count):
            known = self._rows[index].known
            if known == TO and not is_tagged:
                reply._put(reply._count, TO, "", f"{_cut(text, 0, size)};tag={tag}")
            elif known in (VIA, FROM, TO, CALL_ID, CSEQ, TIMESTAMP):
                reply._take(&self._rows[index])
        reply.extend(rows)
        return reply

    # writing

    def serialize(self, str start_line not None, bytes body not None):
        """Return a message: start line, rows, the Content-Length that `body` asks for, and `body`.

        Raises:
            LocalProtocolError: a line break inside a header or the start line, or text that is none.
        """
        cdef bytes end = b"Content-Length: %d\r\n\r\n" % len(body)
        cdef Py_ssize_t size = self._measure(start_line)
        cdef bytes message
        cdef char* out
        if size < 0:
            return _PlainHeaders(self._as_list()).serialize(start_line, body)
        message = PyBytes_FromStringAndSize(NULL, size + PyBytes_GET_SIZE(end) + PyBytes_GET_SIZE(body))
        out = self._write(PyBytes_AS_STRING(message), start_line)
        memcpy(out, PyBytes_AS_STRING(end), PyBytes_GET_SIZE(end))
        memcpy(out + PyBytes_GET_SIZE(end), PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        return message

    cdef Py_ssize_t _measure(self, str start_line) except -2:
        """Return how many bytes start line and rows take, -1 when one is not of plain characters."""
        cdef Py_ssize_t index
        cdef Row* row
        cdef Py_ssize_t total
        if not _is_plain(start_line):
            return -1
        total = PyUnicode_GET_LENGTH(start_line) + 2
        for index in range(self._count):
            row = &self._rows[index]
            if row.known == CONTENT_LENGTH:
                continue
            total += self._size_of_name(index) + 4
            if row.value == NULL:
                total += row.end - row.start
            elif _is_plain(<str> row.value):
                total += PyUnicode_GET_LENGTH(<str> row.value)
            else:
                return -1
        return total

    cdef char* _write(self, char* out, str start_line) except NULL:
        """Write what `_measure` has measured and return where it ends."""
        cdef Py_ssize_t index
        cdef Row* row
        cdef const char* data = PyBytes_AS_STRING(self._data)
        out = _append(out, PyUnicode_DATA(start_line), PyUnicode_GET_LENGTH(start_line), b"\r\n")
        for index in range(self._count):
            row = &self._rows[index]
            if row.known == CONTENT_LENGTH:
                continue
            if row.known != UNKNOWN:
                out = _append(out, _name_bytes[row.known], _name_sizes[row.known], b": ")
            else:
                out = _append(out, PyUnicode_DATA(<str> row.name), PyUnicode_GET_LENGTH(<str> row.name), b": ")
            if row.value == NULL:
                out = _append(out, data + row.start, row.end - row.start, b"\r\n")
            else:
                out = _append(out, PyUnicode_DATA(<str> row.value), PyUnicode_GET_LENGTH(<str> row.value), b"\r\n")
        return out

    # reading

    cdef tuple _scan(self, bytes data, Py_ssize_t start):
        """Add the rows of the lines after the start line; return the fault, and where the body begins."""
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t at = start
        cdef Py_ssize_t end
        cdef Py_ssize_t after
        cdef Py_ssize_t lines_left = MAX_ROWS
        cdef object fault = None
        cdef object found
        cdef unsigned char seen[MOST_NAMES]
        cdef bint repeats = False
        cdef int known
        self._data = data
        for known in range(<int> len(_names)):
            seen[known] = 0
        while at < size:
            end = _end_of_line(text, at, size)
            after = end + 1
            if end > at and text[end - 1] == b"\r":
                end -= 1
            if end == at and after <= size:      # the line is empty, and a line feed ends it
                break
            if not self._add_plain(text, at, end):
                found = self._add_thoroughly(data[at:end])
                fault = fault or found
                repeats = True                     # to be looked at
            elif self._count:
                known = self._rows[self._count - 1].known
                if known != UNKNOWN:
                    repeats |= seen[known] and _is_single[known]
                    seen[known] = 1
            lines_left -= 1
            if self._count > MAX_ROWS or lines_left < 0:
                while self._count > MAX_ROWS:
                    self._drop(self._count - 1)
                return ("BAD_HEADER", f"at most {MAX_ROWS} header rows", "more"), _find_body(text, at, size)
            at = after
        else:
            after = -1
        if repeats and fault is None:
            fault = find_repeated([self._name(at) for at in range(self._count)])
        return fault, after

    cdef bint _add_plain(self, const char* text, Py_ssize_t start, Py_ssize_t end) except -1:
        """Add the row of an ordinary line, which is most of them; return False when it is none."""
        cdef const char* colon = <const char*> memchr(text + start, b":", end - start)
        cdef Py_ssize_t name_end
        cdef Py_ssize_t at
        cdef int known
        cdef Row* row
        if colon == NULL or end - start > MAX_LINE:
            return False
        name_end = at = colon - text
        at += 1
        while name_end > start and text[name_end - 1] in b" \t":
            name_end -= 1
        while at < end and text[at] in b" \t":
            at += 1
        while end > at and text[end - 1] in b" \t":
            end -= 1
        known = _find_known(text + start, name_end - start)
        if known == UNKNOWN and not _is_all(text, start, name_end, TOKEN):
            return False
        if memchr(text + at, b"\r", end - at) != NULL or memchr(text + at, b"\n", end - at) != NULL:
            return False
        if known != UNKNOWN and _is_list[known] and memchr(text + at, b",", end - at) != NULL:
            return False
        row = self._insert(self._count)
        row.known = known
        row.name_start, row.name_end, row.start, row.end = start, name_end, at, end
        return True

    cdef object _add_thoroughly(self, bytes line):
        """Add the rows of a line that is folded, a list, or wrong; return its fault."""
        name, values, fault = read_row(line)
        for value in values:
            self._put(self._count, _id(name), name, value)
        return fault


cdef inline int _id(str spelling) except -2:
    """Return the index of a usual spelling of a name, UNKNOWN if it is not one."""
    cdef object index = _ids.get(spelling)
    return UNKNOWN if index is None else <int> index


cdef inline str _canonical(name):
    cdef object index = _ids.get(name)
    return <str> canonical_name(name) if index is None else <str> _names[<int> index]


cdef inline str _checked(value):
    """Return a value as a `str` of exactly that type."""
    if type(value) is str:
        return <str> value
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"expected text as the value of a header, found {type(value).__name__}")


cdef inline bint _is_plain(str text):
    """Tell whether a text can be copied into a message as it is."""
    cdef Py_ssize_t size
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    size = PyUnicode_GET_LENGTH(text)
    return memchr(PyUnicode_DATA(text), b"\r", size) == NULL and memchr(PyUnicode_DATA(text), b"\n", size) == NULL


cdef inline char* _append(char* out, const char* text, Py_ssize_t size, const char* end) noexcept nogil:
    """Write a text and two bytes after it."""
    memcpy(out, text, size)
    out[size] = end[0]
    out[size + 1] = end[1]
    return out + size + 2


cdef inline Py_ssize_t _end_of_line(const char* text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Return the index of the line feed that ends a line and those that go on with it, `size` when there is none."""
    cdef const char* found
    cdef Py_ssize_t start = at
    while at < size:
        found = <const char*> memchr(text + at, b"\n", size - at)
        if found == NULL:
            return size
        at = found - text
        if at == start or (at == start + 1 and text[start] == b"\r"):
            return at
        if at + 1 >= size or (text[at + 1] != b" " and text[at + 1] != b"\t"):
            return at
        at += 1
    return size


cdef Py_ssize_t _find_body(const char* text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Return where the body begins, -1 when no empty line ends the head."""
    cdef Py_ssize_t end
    while at < size:
        end = _end_of_line(text, at, size)
        if end < size and (end == at or (end == at + 1 and text[at] == b"\r")):
            return end + 1
        at = end + 1
    return -1


def scan_head(bytes data not None, Py_ssize_t start):
    """Cut the head of a message into its start line and its rows.

    Lines end in CRLF or LF, and begin with white space where they go on with the line before. Source: RFC 3261 7.3.1.

    Args:
        data: the datagram.
        start: where the start line begins.

    Returns:
        The start line, the rows that could be read, where the body begins (-1 when no empty line ends the head), and
        the first fault.
    """
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Headers headers = Headers.__new__(Headers)
    cdef Py_ssize_t end
    cdef Py_ssize_t after
    cdef str line
    if not 0 <= start <= size <= 0x7fffffff:
        raise ValueError("expected a start inside of the data, found another or too much data")
    end = _end_of_line(text, start, size)
    after = end + 1
    if end > start and text[end - 1] == b"\r":
        end -= 1
    if end - start > MAX_LINE + 1:
        end = start + MAX_LINE + 1
    line = _text(text, start, end)
    if memchr(text + start, b"\n", end - start) != NULL:
        line = unfold(data[start:end])
    fault, body_at = headers._scan(data, after)
    return line, headers, body_at, fault


def plain_message(bytes data not None):
    """Take an ordinary message apart by one look.

    Returns:
        Method, Request-URI, rows and body of a request; status, reason phrase, rows and body of a response. None when
        it has to be read thoroughly, be it because something is wrong with it.
    """
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t end
    cdef Py_ssize_t method_end = -1
    cdef Py_ssize_t body_at
    cdef Py_ssize_t length
    cdef Headers headers
    cdef const char* found = <const char*> memchr(text, b"\n", size)
    if found == NULL or size > 0x7fffffff or found == text or (found - 1)[0] != b"\r":
        return None
    end = found - text - 1
    if size > end + 2 and text[end + 2] in b" \t":
        return None
    if memcmp(text, b"SIP/2.0 ", 8) != 0:
        method_end = _end_of_method(text, end)
        if method_end < 0:
            return None
    elif not 12 <= end <= MAX_LINE or not _is_all(text, 8, 11, DIGIT) or text[11] != b" " or not _is_phrase(text, end):
        return None
    headers = Headers.__new__(Headers)
    fault, body_at = headers._scan(data, end + 2)
    if fault is not None or body_at < 0 or not headers._is_usual(text if method_end >= 0 else NULL, method_end):
        return None
    length = headers._length(size - body_at)
    if length < 0:
        return None
    body = data[body_at : body_at + length] if length else b""
    if method_end >= 0:
        return _method(text, 0, method_end), _cut(text, method_end + 1, end - 8), headers, body
    return (text[8] - 48) * 100 + (text[9] - 48) * 10 + text[10] - 48, _cut(text, 12, end), headers, body


cdef bint _is_phrase(const char* text, Py_ssize_t end) noexcept nogil:
    """Tell whether a status line has a status of 100 to 699 and an ordinary reason phrase."""
    cdef Py_ssize_t at
    if not b"1" <= text[8] <= b"6":
        return False
    for at in range(12, end):
        if not _is_printable(text[at]):
            return False
    return True


# values of the usual shape


cdef inline bint _is_text(str text) noexcept:
    return text is not None and PyUnicode_IS_COMPACT_ASCII(text)


cdef inline str _cut(const char* text, Py_ssize_t start, Py_ssize_t end):
    return PyUnicode_FromStringAndSize(text + start, end - start)


cdef str _cut_lower(const char* text, Py_ssize_t start, Py_ssize_t end):
    """Return a stretch of ASCII in lower case; the usual names of parameters are there already."""
    cdef Py_ssize_t size = end - start
    cdef Py_ssize_t index
    cdef const char* at = text + start
    cdef char* out
    if size == 3 and memcmp(at, b"tag", 3) == 0:
        return "tag"
    if size == 6 and memcmp(at, b"branch", 6) == 0:
        return "branch"
    if size == 5 and memcmp(at, b"rport", 5) == 0:
        return "rport"
    if size == 2 and memcmp(at, b"lr", 2) == 0:
        return "lr"
    if size == 8 and memcmp(at, b"received", 8) == 0:
        return "received"
    text_object = PyUnicode_New(size, 127)
    out = PyUnicode_DATA(text_object)
    for index in range(size):
        out[index] = _lower[<unsigned char> at[index]]
    return text_object


cdef tuple _plain_params(const char* text, Py_ssize_t at, Py_ssize_t end, int name_kind, int value_kind):
    """Return the parameters from a semicolon or the end on; None when they have to be read thoroughly."""
    cdef list params = []
    cdef Py_ssize_t start
    cdef Py_ssize_t name_end
    cdef str value
    cdef bint is_strict = value_kind == URI_PARAM      # there an equals sign asks for a value
    while at < end:
        if text[at] != b";" or len(params) == MAX_PARAMS:
            return None
        at += 1
        start = at
        while at < end and _kinds[<unsigned char> text[at]] & name_kind:
            at += 1
        name_end = at
        if name_end == start:
            return None
        value = None
        if at < end and text[at] == b"=":
            at += 1
            name = at
            while at < end and _kinds[<unsigned char> text[at]] & value_kind:
                at += 1
            if is_strict and at == name:
                return None
            value = _cut(text, name, at)
        params.append((_cut_lower(text, start, name_end), value))
    return tuple(params)


cdef bint _are_params(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Tell whether header parameters go from a semicolon to the end, as `_plain_params` would read them."""
    cdef Py_ssize_t start
    cdef Py_ssize_t count = 0
    while at < end:
        if text[at] != b";" or count == MAX_PARAMS:
            return False
        count += 1
        at += 1
        start = at
        while at < end and _kinds[<unsigned char> text[at]] & TOKEN:
            at += 1
        if at == start:
            return False
        if at < end and text[at] == b"=":
            at += 1
            while at < end and _kinds[<unsigned char> text[at]] & PARAM_VALUE:
                at += 1
    return True


cdef Py_ssize_t _find_param(
    const char* text, Py_ssize_t at, Py_ssize_t end, const char* name, Py_ssize_t size, Py_ssize_t* value_end
) noexcept nogil:
    """Return where the value of the first parameter of a name begins, -1 when there is none.

    Where it has no value, that is where its name ends, and `value_end` too. `text` is what `_are_params` let pass.
    """
    cdef Py_ssize_t start
    cdef Py_ssize_t index
    cdef Py_ssize_t value
    while at < end:
        at += 1
        start = at
        while at < end and text[at] != b";" and text[at] != b"=":
            at += 1
        value = at
        if at - start == size:
            for index in range(size):
                if _lower[<unsigned char> text[start + index]] != <unsigned char> name[index]:
                    break
            else:
                if at < end and text[at] == b"=":
                    value += 1
                while at < end and text[at] != b";":
                    at += 1
                value_end[0] = at
                return value
        while at < end and text[at] != b";":
            at += 1
    return -1


cdef bint _are_names_low(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Tell whether the names of parameters are in lower case."""
    cdef bint is_name = True
    for at in range(at, end):
        if text[at] == b";":
            is_name = True
        elif text[at] == b"=":
            is_name = False
        elif is_name and _lower[<unsigned char> text[at]] != <unsigned char> text[at]:
            return False
    return True


cdef Py_ssize_t _end_of_host(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Return where a host name or an IPv4 address ends, -1 when it is neither, or has to be looked at."""
    cdef Py_ssize_t start = at
    cdef Py_ssize_t dots = 0
    cdef bint is_number = True
    cdef int part = -1
    while at < end and _kinds[<unsigned char> text[at]] & HOST:
        if text[at] == b".":
            if at == start or text[at - 1] == b".":
                return -1
            dots += 1
            part = -1
        elif _kinds[<unsigned char> text[at]] & DIGIT:
            if is_number:
                part = (0 if part < 0 else part * 10) + text[at] - 48
                if part > 255 or (at - 3 >= start and _is_all(text, at - 3, at + 1, DIGIT)):
                    is_number = False
                    part = 999
        else:
            is_number = False
        at += 1
    if at == start or at - start > 255 or text[start] == b"-" or text[at - 1] == b"-":
        return -1
    if _kinds[<unsigned char> text[at - 1]] & DIGIT and _is_digits_and_dots(text, start, at):
        return at if is_number and dots == 3 else -1
    return at


cdef inline bint _is_digits_and_dots(const char* text, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(start, end):
        if text[index] != b"." and not _kinds[<unsigned char> text[index]] & DIGIT:
            return False
    return True


cdef inline Py_ssize_t _end_of_port(const char* text, Py_ssize_t at, Py_ssize_t end, int* port) noexcept nogil:
    """Read ``:port``; return where it ends, -1 when it is none."""
    cdef Py_ssize_t start = at + 1
    cdef int value = 0
    at = start
    while at < end and at < start + 6 and _kinds[<unsigned char> text[at]] & DIGIT:
        value = value * 10 + text[at] - 48
        at += 1
    port[0] = value
    return at if at - start in (1, 2, 3, 4, 5) and 0 < value <= 65535 else -1


def plain_request_line(str line not None):
    """Return method and Request-URI of an ordinary request line; None when it has to be read thoroughly."""
    cdef const char* text
    cdef Py_ssize_t size
    cdef Py_ssize_t end
    if not _is_text(line):
        return None
    text = PyUnicode_DATA(line)
    size = PyUnicode_GET_LENGTH(line)
    end = _end_of_method(text, size)
    return None if end < 0 else (_method(text, 0, end), _cut(text, end + 1, size - 8))


cdef Py_ssize_t _end_of_method(const char* text, Py_ssize_t size) noexcept nogil:
    """Return where the method of an ordinary request line ends, -1 when it is none."""
    cdef Py_ssize_t at = 0
    while at < size and _kinds[<unsigned char> text[at]] & TOKEN:
        at += 1
    if at == 0 or size - at < 10 or size > MAX_LINE or text[at] != b" " or memcmp(text + size - 8, b" SIP/2.0", 8) != 0:
        return -1
    return at if _is_all(text, at + 1, size - 8, URI_CHAR) else -1


cdef str _method(const char* text, Py_ssize_t start, Py_ssize_t end):
    cdef Py_ssize_t size = end - start
    if size == 6 and memcmp(text + start, b"INVITE", 6) == 0:
        return "INVITE"
    if size == 3 and memcmp(text + start, b"ACK", 3) == 0:
        return "ACK"
    if size == 3 and memcmp(text + start, b"BYE", 3) == 0:
        return "BYE"
    if size == 8 and memcmp(text + start, b"REGISTER", 8) == 0:
        return "REGISTER"
    return _cut(text, start, end)


def plain_via(str value not None):
    """Return transport, host, port and parameters of an ordinary Via; None when it has to be read thoroughly."""
    cdef const char* text
    cdef Py_ssize_t size
    cdef ViaParts parts
    cdef tuple params
    if not _is_text(value):
        return None
    text = PyUnicode_DATA(value)
    size = PyUnicode_GET_LENGTH(value)
    if not _read_via(text, size, &parts):
        return None
    params = _plain_params(text, parts.sent_by_end, size, TOKEN, PARAM_VALUE)
    port = parts.port if parts.port else None
    return _cut(text, 8, parts.host - 1), _cut(text, parts.host, parts.host_end), port, params


cdef bint _read_via(const char* text, Py_ssize_t size, ViaParts* parts) noexcept nogil:
    """Take an ordinary Via apart; return False when it has to be read thoroughly."""
    cdef Py_ssize_t at
    if size < 13 or memcmp(text, b"SIP/2.0/", 8) != 0:
        return False
    if memcmp(text + 8, b"WS ", 3) == 0:
        at = 11
    elif text[11] == b" " and (
        memcmp(text + 8, b"UDP", 3) == 0
        or memcmp(text + 8, b"TCP", 3) == 0
        or memcmp(text + 8, b"TLS", 3) == 0
        or memcmp(text + 8, b"WSS", 3) == 0
    ):
        at = 12
    else:
        return False
    parts.host = at
    at = _end_of_host(text, at, size)
    if at < 0:
        return False
    parts.host_end = at
    parts.port = 0
    if at < size and text[at] == b":":
        at = _end_of_port(text, at, size, &parts.port)
        if at < 0:
            return False
    parts.sent_by_end = at
    return _are_params(text, at, size)


def plain_name_addr(str value not None):
    """Return display name, URI and parameters of an ordinary address; None when it has to be read thoroughly."""
    cdef const char* text
    cdef Py_ssize_t size
    cdef AddressParts parts
    if not _is_text(value):
        return None
    text = PyUnicode_DATA(value)
    size = PyUnicode_GET_LENGTH(value)
    if not _read_address(text, size, &parts):
        return None
    return (
        _cut(text, parts.display, parts.display_end),
        _cut(text, parts.uri, parts.uri_end),
        _plain_params(text, parts.params, size, TOKEN, PARAM_VALUE),
    )


cdef bint _read_address(const char* text, Py_ssize_t size, AddressParts* parts) noexcept nogil:
    """Take an ordinary address apart; return False when it has to be read thoroughly."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t start
    parts.display = parts.display_end = 0
    if size and text[0] == b'"':
        at = 1
        while at < size and text[at] != b'"':
            if text[at] == b"\\" or not _is_printable(text[at]):
                return False
            at += 1
        if at + 1 >= size:
            return False
        parts.display, parts.display_end = 1, at
        at += 1
    else:
        while at < size and text[at] != b"<" and text[at] != b":":
            if text[at] in b'">,;' or not _is_printable(text[at]):
                return False
            at += 1
        if at < size and text[at] == b":":
            return _read_addr_spec(text, size, parts)
        start = at
        while start and text[start - 1] == b" ":
            start -= 1
        if start and text[0] == b" ":
            return False
        parts.display_end = start
    while at < size and text[at] == b" ":
        at += 1
    if at >= size or text[at] != b"<":
        return False
    at += 1
    parts.uri = at
    while at < size and _kinds[<unsigned char> text[at]] & URI_CHAR:
        at += 1
    if at == parts.uri or at >= size or text[at] != b">":
        return False
    parts.uri_end, parts.params = at, at + 1
    return _are_params(text, at + 1, size)


cdef bint _read_addr_spec(const char* text, Py_ssize_t size, AddressParts* parts) noexcept nogil:
    """Take an address without angle brackets apart, up to whose colon there is no other mark."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t start
    while text[at] != b":":
        if not _kinds[<unsigned char> text[at]] & TOKEN or text[at] in b"!%*_`'~":
            return False
        at += 1
    if at == 0 or _kinds[<unsigned char> text[0]] & DIGIT or text[0] in b"+-.":
        return False
    at += 1
    start = at
    while at < size and _kinds[<unsigned char> text[at]] & SPEC_CHAR:
        at += 1
    if at == start:
        return False
    parts.uri, parts.uri_end, parts.params = 0, at, at
    return _are_params(text, at, size)


cdef inline bint _is_printable(char byte) noexcept nogil:
    """Tell whether a byte is ASCII and no control character."""
    return 32 <= <unsigned char> byte < 127


def plain_cseq(str value not None):
    """Return number and method of an ordinary CSeq; None when it has to be read thoroughly."""
    cdef const char* text
    cdef Py_ssize_t size
    cdef Py_ssize_t end
    cdef long number = 0
    if not _is_text(value):
        return None
    text = PyUnicode_DATA(value)
    size = PyUnicode_GET_LENGTH(value)
    end = _read_cseq(text, size, &number)
    return None if end < 0 else (number, _method(text, end + 1, size))


cdef Py_ssize_t _read_cseq(const char* text, Py_ssize_t size, long* number) noexcept nogil:
    """Read an ordinary CSeq; return where its number ends, -1 when it has to be read thoroughly."""
    cdef Py_ssize_t at = 0
    cdef long value = 0
    while at < size and at < 10 and _kinds[<unsigned char> text[at]] & DIGIT:
        value = value * 10 + text[at] - 48
        at += 1
    if at == 0 or at >= size or text[at] != b" " or value > 0x7fffffff or not _is_all(text, at + 1, size, TOKEN):
        return -1
    number[0] = value
    return at


def plain_uri(str value not None):
    """Return the parts of an ordinary SIP URI, as `SipUri` has them; None when it has to be read thoroughly."""
    cdef const char* text
    cdef Py_ssize_t size
    cdef Py_ssize_t at
    cdef Py_ssize_t start
    cdef Py_ssize_t host_end
    cdef int port = 0
    cdef str scheme
    cdef str user = None
    cdef tuple params
    if not _is_text(value):
        return None
    text = PyUnicode_DATA(value)
    size = PyUnicode_GET_LENGTH(value)
    if size > 4 and memcmp(text, b"sip:", 4) == 0:
        scheme, start = "sip", 4
    elif size > 5 and memcmp(text, b"sips:", 5) == 0:
        scheme, start = "sips", 5
    else:
        return None
    if memchr(text + start, b"@", size - start) != NULL:
        at = start
        while _kinds[<unsigned char> text[at]] & USER:
            at += 1
        if text[at] != b"@" or at == start:
            return None
        user = _cut(text, start, at)
        start = at + 1
    at = host_end = _end_of_host(text, start, size)
    if at < 0:
        return None
    if at < size and text[at] == b":":
        at = _end_of_port(text, at, size, &port)
        if at < 0:
            return None
    params = _plain_params(text, at, size, URI_PARAM, URI_PARAM)
    if params is None:
        return None
    return scheme, user, None, _cut(text, start, host_end), port if port else None, params, ()


_prepare()
