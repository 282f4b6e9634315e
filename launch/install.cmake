# cmake --install: the program, the library with its headers (include/lockstep, the parts the public ones need), a
# package for CMake and one for pkg-config, the recipes and, where it was built, the CUDA module.
#
# The library shows its lk_ names alone; what it needs itself it brings along, so who links it needs no MPI and no HDF5 on
# his command line.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(${PROJECT_SOURCE_DIR}/engine/base/includes.cmake)

if(NOT LK_SANITIZE)
    add_library(lockstep_shared SHARED ${lk_objects})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/library.symbols CONTENT "{ global: lk_*; local: *; };\n")
    target_link_options(lockstep_shared PRIVATE -Wl,--version-script=${PROJECT_BINARY_DIR}/library.symbols)
    target_link_libraries(lockstep_shared PRIVATE lk_libraries)
    target_include_directories(lockstep_shared INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(lockstep_shared PROPERTIES OUTPUT_NAME lockstep EXPORT_NAME lockstep VERSION ${PROJECT_VERSION}
                          SOVERSION ${PROJECT_VERSION_MAJOR})
    install(TARGETS lockstep_shared EXPORT lockstep LIBRARY)
    install(EXPORT lockstep NAMESPACE lockstep:: FILE lockstepConfig.cmake
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
    write_basic_package_version_file(${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
    install(FILES ${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
    # The prefix counts from the file, for `cmake --install --prefix` names it later, and a tree may move.
    file(RELATIVE_PATH lk_up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" lk_up "${lk_up}")
    configure_file(launch/lockstep.pc.in lockstep.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/lockstep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

install(TARGETS lockstep_program RUNTIME)
install(DIRECTORY launch/recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep)
if(TARGET lockstep_cuda)
    install(TARGETS lockstep_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lockstep)
endif()

# Headers are installed under include/lockstep and name one another from there.  nn.h is what networks are written with.
set(lk_public launch/lockstep.h engine/engine.h engine/nn/nn.h dist/dist.h io/io.h)
lk_included(lk_needed ${PROJECT_SOURCE_DIR} ${lk_public})
list(APPEND lk_needed ${lk_public})
list(REMOVE_DUPLICATES lk_needed)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${lk_needed})
foreach(header ${lk_needed})
    file(READ ${PROJECT_SOURCE_DIR}/${header} text)
    string(REGEX REPLACE "(#include \")((engine|dist|io|launch)/)" "\\1lockstep/\\2" text "${text}")
    string(REPLACE "lockstep/launch/" "lockstep/" text "${text}")
    string(REGEX REPLACE "^launch/" "" place ${header})
    lk_write_if_changed(${PROJECT_BINARY_DIR}/include/lockstep/${place} "${text}")
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/include/lockstep DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
