/* Pixels to their place between black and white, in one pass. The numbers are numpy's, to the last bit. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

/* Shift and scale a row; cut off what is beyond 0 and the greatest, unless that is negative. NaN stays. */
WIDEST static void share_row(float *restrict row, int64_t pixels, float low, float range, float greatest)
{
    if (greatest < 0.0f) {
        for (int64_t i = 0; i < pixels; i++)
            row[i] = (row[i] - low) / range;
        return;
    }
    for (int64_t i = 0; i < pixels; i++) {
        float value = (row[i] - low) / range;
        value = value < 0.0f ? 0.0f : value;
        row[i] = value > greatest ? greatest : value;
    }
}

/* See _brightness.pyi. */
static PyObject *write_share(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *rows_object, *limits_object;
    Py_buffer rows, limits;
    float greatest;
    if (!PyArg_ParseTuple(args, "OOf", &rows_object, &limits_object, &greatest))
        return NULL;
    if (PyObject_GetBuffer(rows_object, &rows, PyBUF_WRITABLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(limits_object, &limits, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&rows);
        return NULL;
    }
    const Py_ssize_t number = limits.len / 8;
    const int sound = number == 0 ? rows.len == 0 : limits.len % 8 == 0 && rows.len % (4 * number) == 0;
    if (sound && number) {
        const float *limit = limits.buf;
        const int64_t pixels = rows.len / (4 * number);
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < number; i++, limit += 2)
            share_row((float *)rows.buf + i * pixels, pixels, limit[0], limit[1], greatest);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&limits);
    PyBuffer_Release(&rows);
    if (!sound)
        return PyErr_Format(PyExc_ValueError, "limits of %zd rows do not go with the pixels", number);
    return Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {
    {"write_share", write_share, METH_VARARGS, "Turn pixels into their place between black and white."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_brightness", .m_doc = "Pixels between black and white.", .m_methods = methods,
};

PyMODINIT_FUNC PyInit__brightness(void)
{
    return PyModuleDef_Init(&definition);
}
