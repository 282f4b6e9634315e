# What the library knows of its sources, under OUT; run in every build.
#
#     engine/base/commit.h      LK_COMMIT: where SOURCE is in its history, and whether it was changed since
#     engine/module_abi.h       LK_MODULE_ABI: a hash of the headers that the program and the CUDA module both include;
#                               a module and a program with the same number mean the same by them
cmake_minimum_required(VERSION 3.22)
include(${CMAKE_CURRENT_LIST_DIR}/includes.cmake)

execute_process(COMMAND git describe --always --dirty=-changed --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE commit ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed)
    set(commit unknown)
endif()
lk_write_if_changed(${OUT}/engine/base/commit.h "#define LK_COMMIT \"${commit}\"\n")

file(GLOB module RELATIVE ${SOURCE} ${SOURCE}/engine/cuda/*.cu ${SOURCE}/dist/nccl/*.c)
lk_included(headers ${SOURCE} ${module})
list(FILTER headers EXCLUDE REGEX "^engine/cuda/") # the module's own
set(text)
foreach(header ${headers})
    file(READ ${SOURCE}/${header} content)
    string(APPEND text "${header}\n${content}")
endforeach()
string(SHA256 hash "${text}")
string(SUBSTRING ${hash} 0 16 number)
lk_write_if_changed(${OUT}/engine/module_abi.h "#define LK_MODULE_ABI UINT64_C(0x${number})\n")
