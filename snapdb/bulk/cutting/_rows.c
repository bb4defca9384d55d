/* Pieces of a file that lie equally far apart, such as the rows of a window, read one after another.

Python takes longer to ask for a row than the system to give it.
*/

#define _FILE_OFFSET_BITS 64
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

/* Read a piece; give how much of it there is, or -1. */
static int64_t read_piece(int descriptor, int64_t begin, int64_t length, char *out)
{
    int64_t done = 0;
    while (done < length) {
        const ssize_t found = pread(descriptor, out + done, (size_t)(length - done), (off_t)(begin + done));
        if (found < 0 && errno == EINTR)
            continue;
        if (found < 0)
            return -1;
        if (found == 0)
            break;
        done += found;
    }
    return done;
}

/* See _rows.pyi. */
static PyObject *read_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    int descriptor;
    long long begin, stride, length;
    PyObject *object;
    Py_buffer out;
    if (!PyArg_ParseTuple(args, "iLLLO", &descriptor, &begin, &stride, &length, &object))
        return NULL;
    if (PyObject_GetBuffer(object, &out, PyBUF_WRITABLE) < 0)
        return NULL;
    if (begin < 0 || stride < 0 || length < 1 || out.len % length != 0) {
        PyErr_Format(PyExc_ValueError, "pieces of %lld bytes into %zd", length, out.len);
        PyBuffer_Release(&out);
        return NULL;
    }
    int64_t total = 0, found = 0;
    Py_BEGIN_ALLOW_THREADS
    for (int64_t at = 0; at < out.len; at += length, begin += stride) {
        found = read_piece(descriptor, begin, length, (char *)out.buf + at);
        total += found;
        if (found < length)
            break;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&out);
    return found < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLongLong(total);
}

static PyMethodDef methods[] = {
    {"read_rows", read_rows, METH_VARARGS, "Read pieces of a file that lie equally far apart."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_rows", .m_doc = "Rows of a file.", .m_methods = methods,
};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModuleDef_Init(&definition);
}
