# Writes OUT, a header with the commit that SOURCE is at and whether it was changed since; only when that is another than
# before, so that a build with nothing to do compiles nothing.
execute_process(COMMAND git describe --always --dirty=-changed --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed)
    set(commit unknown)
endif()
set(text "#define LK_COMMIT \"${commit}\"\n")
if(EXISTS ${OUT})
    file(READ ${OUT} before)
endif()
if(NOT text STREQUAL "${before}")
    file(WRITE ${OUT} "${text}")
endif()
